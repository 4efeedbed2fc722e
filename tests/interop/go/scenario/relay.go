package scenario

import (
	"io"
	"net"
	"net/url"
)

// relay is a network cable to pull: what is connected to its port goes on to the broker until it is cut, whatever the
// library.
type relay struct {
	listener net.Listener
	target   *url.URL
	ends     chan net.Conn
}

func newRelay(target *url.URL) (*relay, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	relay := &relay{listener, target, make(chan net.Conn, 2)}
	go relay.run()
	return relay, nil
}

// url is the target's with the port of this relay.
func (relay *relay) url() *url.URL {
	_, port, _ := net.SplitHostPort(relay.listener.Addr().String())
	url := *relay.target
	url.Host = net.JoinHostPort(relay.target.Hostname(), port)
	return &url
}

// cut ends both streams at once: the broker sees no DISCONNECT, no close frame and no close_notify. It is called once a
// client is connected, so both ends are there.
func (relay *relay) cut() {
	relay.listener.Close()
	(<-relay.ends).Close()
	(<-relay.ends).Close()
}

// run serves one client. Where it cannot, that client fails to connect, which is what the step reports.
func (relay *relay) run() {
	client, err := relay.listener.Accept()
	if err != nil {
		return
	}
	broker, err := net.Dial("tcp", relay.target.Host)
	if err != nil {
		client.Close()
		return
	}
	relay.ends <- broker
	relay.ends <- client
	go io.Copy(broker, client)
	io.Copy(client, broker)
}
