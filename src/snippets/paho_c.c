/* apt-get install libpaho-mqtt-dev; {% if fetch_ca %}{{ fetch_ca }}; {% endif %}cc hello.c -o hello -lpaho-mqtt3cs */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <MQTTClient.h>

static void check(const char *what, int code) {
    if (code == MQTTCLIENT_SUCCESS) return;
    const char *text = MQTTClient_strerror(code);
    fprintf(stderr, "%s: %d %s\n", what, code, text ? text : "");
    exit(1);
}

int main(void) {
    const char *topic = {{ topic|literal }}, *hello = "hello from Paho C";
    MQTTClient client;
    MQTTClient_connectOptions options = MQTTClient_connectOptions_initializer;
    options.keepAliveInterval = 45;
{%- if user %}
    options.username = {{ user|literal }};
    options.password = getenv("MQTT_PASSWORD");
{%- endif %}
{%- if tls %}
    MQTTClient_SSLOptions tls = MQTTClient_SSLOptions_initializer;
    tls.verify = 1;
{%- if ca %}
    tls.trustStore = {{ ca|literal }};
{%- endif %}
    options.ssl = &tls;
{%- endif %}
    check("create", MQTTClient_create(&client, {{ paho_url|literal }}, "", MQTTCLIENT_PERSISTENCE_NONE, NULL));
    check("connect", MQTTClient_connect(client, &options));
    check("subscribe", MQTTClient_subscribe(client, topic, 1));
    check("publish", MQTTClient_publish(client, topic, (int)strlen(hello), hello, 1, 0, NULL));
    for (;;) {
        char *name = NULL;
        int length;
        MQTTClient_message *message = NULL;
        check("receive", MQTTClient_receive(client, &name, &length, &message, 60000));
        if (message == NULL) continue;
        printf("%s %.*s\n", name, message->payloadlen, (char *)message->payload);
        fflush(stdout);
        MQTTClient_freeMessage(&message);
        MQTTClient_free(name);
    }
}
