// Eclipse Paho's Go client of MQTT 5 through the steps of the matrix.
package main

import (
	"context"
	"fmt"
	"net/url"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"

	"gatemq/interop/scenario"
)

type client struct {
	manager        *autopaho.ConnectionManager
	inbox          scenario.Inbox
	sessionPresent bool
}

func main() {
	scenario.Main(connect)
}

func connect(settings scenario.Settings) (scenario.Client, error) {
	client := &client{inbox: scenario.NewInbox()}
	connected := make(chan *paho.Connack, 1)
	failed := make(chan error, 1)
	config := client.config(settings)
	config.OnConnectionUp = func(_ *autopaho.ConnectionManager, connack *paho.Connack) { connected <- connack }
	// It would connect again, and hide what went wrong.
	config.OnConnectionDown = func() bool { return false }
	config.OnConnectError = func(err error) {
		select {
		case failed <- err:
		default:
		}
	}
	manager, err := autopaho.NewConnection(context.Background(), config)
	if err != nil {
		return nil, err
	}
	client.manager = manager
	patience, cancel := patience()
	defer cancel()
	select {
	case connack := <-connected:
		client.sessionPresent = connack.SessionPresent
		return client, nil
	case err := <-failed:
		return nil, fmt.Errorf("connect: %w", err)
	case <-patience.Done():
		return nil, fmt.Errorf("connect: no answer within %s", scenario.Patience)
	}
}

func (client *client) config(settings scenario.Settings) autopaho.ClientConfig {
	config := autopaho.ClientConfig{
		ServerUrls:                    []*url.URL{settings.URL},
		TlsCfg:                        settings.Arguments.TLS,
		KeepAlive:                     60,
		CleanStartOnInitialConnection: settings.Clean,
		ConnectTimeout:                scenario.Patience,
		ClientConfig: paho.ClientConfig{
			ClientID:      settings.ClientID,
			PacketTimeout: scenario.Patience,
			OnPublishReceived: []func(paho.PublishReceived) (bool, error){
				func(received paho.PublishReceived) (bool, error) {
					packet := received.Packet
					client.inbox <- scenario.Message{
						Topic: packet.Topic, Payload: string(packet.Payload), QoS: packet.QoS, Retained: packet.Retain,
					}
					return true, nil
				},
			},
		},
	}
	if !settings.Clean {
		config.SessionExpiryInterval = 300
	}
	if will := settings.Will; will != nil {
		config.WillMessage = &paho.WillMessage{
			Topic: will.Topic, Payload: []byte(will.Payload), QoS: will.QoS, Retain: will.Retained,
		}
	}
	return config
}

func (client *client) SessionPresent() bool {
	return client.sessionPresent
}

func (client *client) Subscribe(filter string, qos byte) (byte, error) {
	patience, cancel := patience()
	defer cancel()
	suback, err := client.manager.Subscribe(patience, &paho.Subscribe{
		Subscriptions: []paho.SubscribeOptions{{Topic: filter, QoS: qos}},
	})
	if err != nil {
		return 0, fmt.Errorf("subscribe: %w", err)
	}
	return suback.Reasons[0], nil
}

func (client *client) Publish(message scenario.Message) error {
	patience, cancel := patience()
	defer cancel()
	_, err := client.manager.Publish(patience, &paho.Publish{
		Topic: message.Topic, Payload: []byte(message.Payload), QoS: message.QoS, Retain: message.Retained,
	})
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return nil
}

func (client *client) Receive() (scenario.Message, error) {
	return client.inbox.Next()
}

func (client *client) Disconnect() error {
	patience, cancel := patience()
	defer cancel()
	return client.manager.Disconnect(patience)
}

func patience() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), scenario.Patience)
}
