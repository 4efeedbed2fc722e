package scenario

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
)

// Arguments is what the command line says: URL [--ca FILE] --version 3|4|5 --name NAME.
type Arguments struct {
	URL     *url.URL
	Version byte
	Name    string
	// TLS trusts the authority of --ca and no other; nil for mqtt and ws.
	TLS *tls.Config
}

func parse(given []string) (Arguments, error) {
	var arguments Arguments
	var ca string
	var err error
	for ; len(given) > 0 && err == nil; given = given[1:] {
		var value string
		if given[0] == "--ca" || given[0] == "--version" || given[0] == "--name" {
			if len(given) == 1 {
				return arguments, fmt.Errorf("%s lacks a value", given[0])
			}
			value = given[1]
		}
		switch given[0] {
		case "--ca":
			ca = value
		case "--version":
			var version int
			version, err = strconv.Atoi(value)
			arguments.Version = byte(version)
		case "--name":
			arguments.Name = value
		default:
			arguments.URL, err = url.Parse(given[0])
			continue
		}
		given = given[1:]
	}
	if err != nil {
		return arguments, err
	}
	if arguments.URL == nil || arguments.Version == 0 || arguments.Name == "" {
		return arguments, errors.New("expected URL [--ca FILE] --version 3|4|5 --name NAME")
	}
	if ca != "" {
		arguments.TLS, err = trust(ca)
	}
	return arguments, err
}

func trust(file string) (*tls.Config, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	return &tls.Config{RootCAs: pool}, nil
}
