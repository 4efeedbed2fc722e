package scenario

import (
	"fmt"
	"net/url"
	"time"
)

// Patience is for one answer. The broker is on this machine, which may be busy.
const Patience = 60 * time.Second

// Client is a connection that was accepted: each answer awaited, each message kept until it is asked for.
type Client interface {
	// SessionPresent is what CONNACK said. MQTT 3.1 has no such flag.
	SessionPresent() bool
	// Subscribe returns the QoS that was granted.
	Subscribe(filter string, qos byte) (byte, error)
	// Publish returns once the message is acknowledged; with QoS 0, once it is sent.
	Publish(message Message) error
	Receive() (Message, error)
	// Disconnect ends with DISCONNECT.
	Disconnect() error
}

// Settings say how to connect. A session that is not clean outlives its connection.
type Settings struct {
	Arguments Arguments
	URL       *url.URL
	ClientID  string
	Clean     bool
	Will      *Message
}

// Message is one as it is published or was received.
type Message struct {
	Topic    string
	Payload  string
	QoS      byte
	Retained bool
}

// Inbox holds what has arrived.
type Inbox chan Message

// NewInbox makes one that takes more messages than a step has: who fills it must not wait.
func NewInbox() Inbox {
	return make(Inbox, 100)
}

// Next waits for a message.
func (inbox Inbox) Next() (Message, error) {
	select {
	case message := <-inbox:
		return message, nil
	case <-time.After(Patience):
		return Message{}, fmt.Errorf("no message within %s", Patience)
	}
}
