// Eclipse Paho's Go client of MQTT 3.1 and 3.1.1 through the steps of the matrix.
package main

import (
	"fmt"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"gatemq/interop/scenario"
)

type client struct {
	paho           mqtt.Client
	inbox          scenario.Inbox
	sessionPresent bool
}

func main() {
	scenario.Main(connect)
}

func connect(settings scenario.Settings) (scenario.Client, error) {
	inbox := scenario.NewInbox()
	options := mqtt.NewClientOptions().
		AddBroker(settings.URL.String()).
		SetClientID(settings.ClientID).
		SetProtocolVersion(uint(settings.Arguments.Version)).
		SetCleanSession(settings.Clean).
		SetAutoReconnect(false).
		SetConnectTimeout(scenario.Patience).
		SetDefaultPublishHandler(func(_ mqtt.Client, message mqtt.Message) {
			inbox <- scenario.Message{
				Topic: message.Topic(), Payload: string(message.Payload()), QoS: message.Qos(), Retained: message.Retained(),
			}
		})
	if settings.Arguments.TLS != nil {
		options.SetTLSConfig(settings.Arguments.TLS)
	}
	if will := settings.Will; will != nil {
		options.SetWill(will.Topic, will.Payload, will.QoS, will.Retained)
	}
	paho := mqtt.NewClient(options)
	token := paho.Connect().(*mqtt.ConnectToken)
	if err := wait("connect", token); err != nil {
		return nil, err
	}
	return &client{paho, inbox, token.SessionPresent()}, nil
}

func (client *client) SessionPresent() bool {
	return client.sessionPresent
}

// Subscribe has no handler of its own: messages go to the default one, as those of a kept session do.
func (client *client) Subscribe(filter string, qos byte) (byte, error) {
	token := client.paho.Subscribe(filter, qos, nil).(*mqtt.SubscribeToken)
	err := wait("subscribe", token)
	return token.Result()[filter], err
}

func (client *client) Publish(message scenario.Message) error {
	return wait("publish", client.paho.Publish(message.Topic, message.QoS, message.Retained, message.Payload))
}

func (client *client) Receive() (scenario.Message, error) {
	return client.inbox.Next()
}

// Disconnect gives what is under way, a PUBACK say, up to a quarter of a second, as Paho's examples do.
func (client *client) Disconnect() error {
	client.paho.Disconnect(250)
	return nil
}

func wait(what string, token mqtt.Token) error {
	if !token.WaitTimeout(scenario.Patience) {
		return fmt.Errorf("%s: no answer within %s", what, scenario.Patience)
	}
	if err := token.Error(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
