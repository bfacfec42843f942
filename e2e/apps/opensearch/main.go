// Command opensearch starts OpenSearch in its local image, which has no shell for the scripts of the distribution. It obeys what
// the charts of this project give to the official image: configuration in /usr/share/opensearch/config, options of the JVM in
// OPENSEARCH_JAVA_OPTS, data in /usr/share/opensearch/data, temporary files in /tmp.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	home   = "/usr/share/opensearch"
	java   = "/usr/lib/jvm/java-17-openjdk-amd64/bin/java"
	config = "/tmp/config"

	plugins = "/tmp/plugins" // the image links to it: OpenSearch needs the folder, and images of this project have no empty ones
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	// OpenSearch writes its keystore beside its configuration, and the image's folder is not this user's.
	if err := copyFiles(home+"/config", config); err != nil {
		return fmt.Errorf("copy configuration: %w", err)
	}
	if err := os.MkdirAll(plugins, 0o700); err != nil {
		return err
	}
	if err := os.Chdir("/tmp"); err != nil {
		return err
	}
	args := arguments(os.Getenv("OPENSEARCH_JAVA_OPTS"), os.Args[1:])
	return fmt.Errorf("start java: %w", syscall.Exec(java, args, os.Environ()))
}

// arguments are those of the distribution's script, without its log files.
func arguments(options string, rest []string) []string {
	args := []string{
		java, "-Xshare:auto", "-XX:+UseG1GC", "-XX:G1ReservePercent=25", "-XX:InitiatingHeapOccupancyPercent=30", "-XX:+ExitOnOutOfMemoryError",
		"-Xss1m", "-Djava.awt.headless=true", "-Dfile.encoding=UTF-8", "-Djna.nosys=true", "-Djava.io.tmpdir=/tmp", "-Djna.tmpdir=/tmp",
		"-Dopensearch.networkaddress.cache.ttl=60", "-Dopensearch.networkaddress.cache.negative.ttl=10",
		"-Dio.netty.noUnsafe=true", "-Dio.netty.noKeySetOptimization=true", "-Dio.netty.recycler.maxCapacityPerThread=0",
		"-Dio.netty.allocator.numDirectArenas=0", "-Dlog4j.shutdownHookEnabled=false", "-Dlog4j2.disable.jmx=true",
		"-Djava.util.concurrent.ForkJoinPool.common.threadFactory=org.opensearch.secure_sm.SecuredForkJoinWorkerThreadFactory",
	}
	args = append(args, strings.Fields(options)...)
	args = append(args,
		"-Dopensearch.path.home="+home, "-Dopensearch.path.conf="+config, "-Dopensearch.distribution.type=zip", "-Dopensearch.bundled_jdk=false",
		"-cp", home+"/lib/*", "org.opensearch.bootstrap.OpenSearch")
	return append(args, rest...)
}

func copyFiles(from, to string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	files, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.IsDir() {
			continue
		}
		text, err := os.ReadFile(filepath.Join(from, f.Name()))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, f.Name()), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}
