// libmosquitto as a client: without its thread, so that nothing happens but in a call.
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client.h"

// More than any step receives before it looks.
enum { INBOX = 8 };

struct client {
    struct mosquitto *mosquitto;
    bool connected, session_present, subscribed, disconnected;
    int reason, granted, acknowledged;
    struct message inbox[INBOX];
    int received, taken;
};

static void check(const char *what, int code) {
    if (code != MOSQ_ERR_SUCCESS) fail("%s: %s", what, mosquitto_strerror(code));
}

static void on_connect(struct mosquitto *mosquitto, void *user, int reason, int flags) {
    (void)mosquitto;
    struct client *client = user;
    client->connected = true;
    client->reason = reason;
    client->session_present = flags & 1;
}

static void on_disconnect(struct mosquitto *mosquitto, void *user, int reason) {
    (void)mosquitto;
    (void)reason;
    ((struct client *)user)->disconnected = true;
}

static void on_subscribe(struct mosquitto *mosquitto, void *user, int id, int count, const int *granted) {
    (void)mosquitto;
    (void)id;
    struct client *client = user;
    client->subscribed = true;
    client->granted = count == 1 ? granted[0] : -1;
}

static void on_publish(struct mosquitto *mosquitto, void *user, int id) {
    (void)mosquitto;
    ((struct client *)user)->acknowledged = id;
}

static void on_message(struct mosquitto *mosquitto, void *user, const struct mosquitto_message *received) {
    (void)mosquitto;
    struct client *client = user;
    if (client->received == INBOX) fail("expected %d messages, got more", INBOX);
    struct message *message = &client->inbox[client->received++];
    copy(message->topic, sizeof message->topic, received->topic, strlen(received->topic));
    copy(message->payload, sizeof message->payload, received->payload, (unsigned long)received->payloadlen);
    message->qos = received->qos;
    message->retained = received->retain;
}

// Lets the library work until this is so.
#define until(client, what, condition)                                                                   \
    for (time_t since = time(NULL); !(condition);) {                                                     \
        if (time(NULL) - since > PATIENCE) fail("%s: nothing in %d s", what, PATIENCE);                  \
        int code = mosquitto_loop((client)->mosquitto, 100, 1);                                          \
        if (code != MOSQ_ERR_SUCCESS && !(condition)) fail("%s: %s", what, mosquitto_strerror(code)); \
    }

struct client *client_open(const struct target *target, const struct options *options, enum session *session) {
    mosquitto_lib_init();
    struct client *client = calloc(1, sizeof *client);
    if (!client) fail("no memory");
    struct mosquitto *mosquitto = client->mosquitto = mosquitto_new(options->client_id, !options->kept, client);
    if (!mosquitto) fail("mosquitto_new failed");
    const int versions[] = {[3] = MQTT_PROTOCOL_V31, [4] = MQTT_PROTOCOL_V311, [5] = MQTT_PROTOCOL_V5};
    check("version", mosquitto_int_option(mosquitto, MOSQ_OPT_PROTOCOL_VERSION, versions[target->version]));
    if (is_secure(target)) check("CA", mosquitto_tls_set(mosquitto, target->ca, NULL, NULL, NULL, NULL));
    if (options->will_topic)
        check("will", mosquitto_will_set(mosquitto, options->will_topic, (int)strlen(options->will_payload),
                                         options->will_payload, 1, false));
    mosquitto_connect_with_flags_callback_set(mosquitto, on_connect);
    mosquitto_disconnect_callback_set(mosquitto, on_disconnect);
    mosquitto_subscribe_callback_set(mosquitto, on_subscribe);
    mosquitto_publish_callback_set(mosquitto, on_publish);
    mosquitto_message_callback_set(mosquitto, on_message);

    mosquitto_property *properties = NULL;
    if (options->kept && target->version == 5)
        check("property", mosquitto_property_add_int32(&properties, MQTT_PROP_SESSION_EXPIRY_INTERVAL, 300));
    check("connect", mosquitto_connect_bind_v5(mosquitto, target->host, target->port, 60, NULL, properties));
    mosquitto_property_free_all(&properties);
    until(client, "CONNACK", client->connected);
    if (client->reason != 0) fail("CONNACK: expected 0, got %d", client->reason);
    *session = client->session_present ? SESSION_PRESENT : SESSION_ABSENT;
    return client;
}

void client_subscribe(struct client *client, const char *filter, int qos) {
    client->subscribed = false;
    check("subscribe", mosquitto_subscribe(client->mosquitto, NULL, filter, qos));
    until(client, "SUBACK", client->subscribed);
    if (client->granted != qos) fail("SUBACK: expected %d, got %d", qos, client->granted);
}

void client_publish(struct client *client, const char *topic, const char *payload, int qos, bool retain) {
    int id;
    client->acknowledged = 0;
    check("publish", mosquitto_publish(client->mosquitto, &id, topic, (int)strlen(payload), payload, qos, retain));
    until(client, "acknowledgement", client->acknowledged == id);
}

void client_receive(struct client *client, struct message *message) {
    until(client, "a message", client->taken < client->received);
    *message = client->inbox[client->taken++];
}

void client_close(struct client *client) {
    check("disconnect", mosquitto_disconnect(client->mosquitto));
    until(client, "the end", client->disconnected);
    mosquitto_destroy(client->mosquitto);
    free(client);
}
