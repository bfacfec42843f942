package agent

import "time"

// bufferLimit is how many bytes one connection may buffer in each direction; Envoy's default is 1 MiB.
const bufferLimit = 32 << 10

func loopbackCluster(name string, port uint32) object {
	c := staticCluster(name, socketAddress("127.0.0.1", port))
	c["per_connection_buffer_limit_bytes"] = bufferLimit
	return c
}

// socketCluster reaches the agent over gRPC. Its buffers keep Envoy's default size, because configuration is large.
func socketCluster(name, path string) object {
	c := staticCluster(name, object{"pipe": object{"path": path}})
	c["typed_extension_protocol_options"] = object{
		"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": extension("envoy.extensions.upstreams.http.v3.HttpProtocolOptions", object{
			"explicit_http_config": object{"http2_protocol_options": object{"connection_keepalive": object{
				"interval": duration(30 * time.Second),
				"timeout":  duration(10 * time.Second),
			}}},
		}),
	}
	return c
}

func staticCluster(name string, address object) object {
	return object{
		"name":            name,
		"type":            "STATIC",
		"connect_timeout": duration(time.Second),
		"load_assignment": object{
			"cluster_name": name,
			"endpoints":    []object{{"lb_endpoints": []object{{"endpoint": object{"address": address}}}}},
		},
	}
}
