// Package scenario is what each library must get through. Every step prints its name when it has passed.
package scenario

import (
	"fmt"
	"net/url"
	"os"
)

// Not ASCII, so that a byte changed on the way shows.
const payload = "21.5 °C, 温度"

// Library makes connected clients.
type Library func(Settings) (Client, error)

type scenario struct {
	arguments Arguments
	connect   Library
}

// Main runs every step and ends the process: with 0 where all have passed, else with 1 and the reason on standard error.
func Main(library Library) {
	arguments, err := parse(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	scenario := scenario{arguments, library}
	steps := []struct {
		name string
		run  func() error
	}{
		{"connect", scenario.connected},
		{"qos0", func() error { return scenario.publish(0) }},
		{"qos1", func() error { return scenario.publish(1) }},
		{"qos2", func() error { return scenario.publish(2) }},
		{"retained", scenario.retained},
		{"will", scenario.will},
		{"session", scenario.session},
	}
	for _, step := range steps {
		if err := step.run(); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", step.name, err)
			os.Exit(1)
		}
		fmt.Println(step.name)
	}
}

func (scenario scenario) connected() error {
	client, err := scenario.open("c")
	if err != nil {
		return err
	}
	return client.Disconnect()
}

func (scenario scenario) publish(qos byte) error {
	message := Message{scenario.topic(fmt.Sprintf("qos%d", qos)), payload, qos, false}
	client, err := scenario.subscribed(fmt.Sprintf("q%d", qos), message.Topic, qos)
	if err != nil {
		return err
	}
	if err := client.Publish(message); err != nil {
		return err
	}
	if err := receives(client, message); err != nil {
		return err
	}
	return client.Disconnect()
}

func (scenario scenario) retained() error {
	message := Message{scenario.topic("retained"), payload, 1, true}
	publisher, err := scenario.open("rp")
	if err != nil {
		return err
	}
	if err := publisher.Publish(message); err != nil {
		return err
	}
	subscriber, err := scenario.subscribed("r1", message.Topic, 1)
	if err != nil {
		return err
	}
	if err := receives(subscriber, message); err != nil {
		return err
	}
	if err := subscriber.Disconnect(); err != nil {
		return err
	}
	return scenario.cleared(publisher, message.Topic)
}

// cleared clears the retained message, so that the first that the next subscriber gets is what is published after it.
func (scenario scenario) cleared(publisher Client, topic string) error {
	if err := publisher.Publish(Message{topic, "", 1, true}); err != nil {
		return err
	}
	late, err := scenario.subscribed("r2", topic, 1)
	if err != nil {
		return err
	}
	next := Message{topic, "after it was cleared", 1, false}
	if err := publisher.Publish(next); err != nil {
		return err
	}
	if err := receives(late, next); err != nil {
		return err
	}
	if err := late.Disconnect(); err != nil {
		return err
	}
	return publisher.Disconnect()
}

func (scenario scenario) will() error {
	will := Message{scenario.topic("will"), payload, 1, false}
	heir, err := scenario.subscribed("h", will.Topic, 1)
	if err != nil {
		return err
	}
	relay, err := newRelay(scenario.arguments.URL)
	if err != nil {
		return err
	}
	if _, err := scenario.openWith("w", relay.url(), true, &will); err != nil {
		return err
	}
	relay.cut()
	if err := receives(heir, will); err != nil {
		return err
	}
	return heir.Disconnect()
}

func (scenario scenario) session() error {
	topic := scenario.topic("session")
	client, err := scenario.kept(false)
	if err != nil {
		return err
	}
	if _, err := client.Subscribe(topic, 1); err != nil {
		return err
	}
	if err := client.Disconnect(); err != nil {
		return err
	}
	if err := scenario.meanwhile(topic); err != nil {
		return err
	}
	client, err = scenario.kept(true)
	if err != nil {
		return err
	}
	for qos := byte(1); qos <= 2; qos++ {
		if err := receives(client, Message{topic, fmt.Sprintf("meanwhile %d", qos), 1, false}); err != nil {
			return err
		}
	}
	if err := client.Disconnect(); err != nil {
		return err
	}
	// Ends the session.
	client, err = scenario.open("k")
	if err != nil {
		return err
	}
	return client.Disconnect()
}

// kept connects to the kept session and checks whether it was there.
func (scenario scenario) kept(present bool) (Client, error) {
	client, err := scenario.openWith("k", scenario.arguments.URL, false, nil)
	if err != nil {
		return nil, err
	}
	if scenario.arguments.Version > 3 && client.SessionPresent() != present {
		return nil, fmt.Errorf("session present: expected %t, got %t", present, !present)
	}
	return client, nil
}

func (scenario scenario) meanwhile(topic string) error {
	publisher, err := scenario.open("kp")
	if err != nil {
		return err
	}
	for qos := byte(1); qos <= 2; qos++ {
		if err := publisher.Publish(Message{topic, fmt.Sprintf("meanwhile %d", qos), qos, false}); err != nil {
			return err
		}
	}
	return publisher.Disconnect()
}

func (scenario scenario) subscribed(suffix, filter string, qos byte) (Client, error) {
	client, err := scenario.open(suffix)
	if err != nil {
		return nil, err
	}
	granted, err := client.Subscribe(filter, qos)
	if err == nil && granted != qos {
		err = fmt.Errorf("granted QoS: expected %d, got %d", qos, granted)
	}
	return client, err
}

func (scenario scenario) open(suffix string) (Client, error) {
	return scenario.openWith(suffix, scenario.arguments.URL, true, nil)
}

func (scenario scenario) openWith(suffix string, url *url.URL, clean bool, will *Message) (Client, error) {
	return scenario.connect(Settings{scenario.arguments, url, scenario.arguments.Name + "-" + suffix, clean, will})
}

func (scenario scenario) topic(name string) string {
	return scenario.arguments.Name + "/" + name
}

func receives(client Client, expected Message) error {
	got, err := client.Receive()
	if err == nil && got != expected {
		err = fmt.Errorf("message: expected %+v, got %+v", expected, got)
	}
	return err
}
