package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
)

// tlsConfig is how the second port is served: with a certificate and its key, and, when authorities are given, only to
// clients whose certificates they signed.
func tlsConfig(certificate, key, authorities string) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("load certificate: %w", err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if authorities == "" {
		return config, nil
	}
	text, err := os.ReadFile(authorities)
	if err != nil {
		return nil, fmt.Errorf("load authorities: %w", err)
	}
	config.ClientCAs, config.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
	if !config.ClientCAs.AppendCertsFromPEM(text) {
		return nil, errors.New("load authorities: no certificate in " + authorities)
	}
	return config, nil
}

// peer is the client's certificate of a connection.
type peer struct {
	TLS        bool   `json:"tls"`
	Version    string `json:"version,omitempty"`
	ServerName string `json:"serverName,omitempty"` // SNI of the client
	Client     string `json:"client,omitempty"`     // subject of the client's certificate
	Serial     string `json:"serial,omitempty"`
}

func showPeer(w http.ResponseWriter, r *http.Request) {
	var p peer
	if s := r.TLS; s != nil {
		p = peer{TLS: true, Version: tls.VersionName(s.Version), ServerName: s.ServerName}
		if len(s.PeerCertificates) > 0 {
			p.Client, p.Serial = s.PeerCertificates[0].Subject.String(), s.PeerCertificates[0].SerialNumber.String()
		}
	}
	w.Header().Set("Connection", "close") // the next request shows its own
	reply(w, p)
}
