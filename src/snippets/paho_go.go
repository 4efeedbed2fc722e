// go mod init hello; go get github.com/eclipse/paho.mqtt.golang; {% if fetch_ca %}{{ fetch_ca }}; {% endif %}go run hello.go
package main

import (
{%- if ca %}
	"crypto/tls"
	"crypto/x509"
{%- endif %}
	"fmt"
	"log"
{%- if ca or user %}
	"os"
{%- endif %}
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

func main() {
	topic := {{ topic|literal }}
	options := mqtt.NewClientOptions().AddBroker({{ paho_url|literal }}).SetKeepAlive(45 * time.Second)
{%- if user %}
	options.SetUsername({{ user|literal }}).SetPassword(os.Getenv("MQTT_PASSWORD"))
{%- endif %}
{%- if ca %}
	pem, err := os.ReadFile({{ ca|literal }})
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	options.SetTLSConfig(&tls.Config{RootCAs: roots})
{%- endif %}
	client := mqtt.NewClient(options)
	done(client.Connect())
	done(client.Subscribe(topic, 1, func(_ mqtt.Client, message mqtt.Message) {
		fmt.Println(message.Topic(), string(message.Payload()))
	}))
	done(client.Publish(topic, 1, false, "hello from Paho Go"))
	select {}
}

func done(token mqtt.Token) {
	if token.Wait(); token.Error() != nil {
		log.Fatal(token.Error())
	}
}
