// Paho's synchronous client, MQTTClient: without callbacks, so that nothing happens but in a call.
#include <MQTTClient.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

struct client {
    MQTTClient paho;
    int version;
};

static void check(const char *what, int code) {
    if (code != MQTTCLIENT_SUCCESS) {
        const char *text = MQTTClient_strerror(code);
        fail("%s: %d %s", what, code, text ? text : "");
    }
}

static MQTTClient_connectOptions initial(const struct target *target) {
    if (target->version == 5) {
        MQTTClient_connectOptions tcp = MQTTClient_connectOptions_initializer5;
        MQTTClient_connectOptions websocket = MQTTClient_connectOptions_initializer5_ws;
        return is_websocket(target) ? websocket : tcp;
    }
    MQTTClient_connectOptions tcp = MQTTClient_connectOptions_initializer;
    MQTTClient_connectOptions websocket = MQTTClient_connectOptions_initializer_ws;
    return is_websocket(target) ? websocket : tcp;
}

static int connect_5(MQTTClient paho, MQTTClient_connectOptions *options, bool kept) {
    MQTTProperties properties = MQTTProperties_initializer;
    if (kept) {
        MQTTProperty expiry = {.identifier = MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL, .value.integer4 = 300};
        check("property", MQTTProperties_add(&properties, &expiry));
    }
    MQTTResponse response = MQTTClient_connect5(paho, options, &properties, NULL);
    int code = response.reasonCode;
    MQTTResponse_free(response);
    MQTTProperties_free(&properties);
    return code;
}

struct client *client_open(const struct target *target, const struct options *options, enum session *session) {
    struct client *client = calloc(1, sizeof *client);
    if (!client) fail("no memory");
    client->version = target->version;
    const char *scheme = is_websocket(target) ? target->scheme : is_secure(target) ? "ssl" : "tcp";
    char url[256];
    snprintf(url, sizeof url, "%s://%s:%d%s", scheme, target->host, target->port, target->path);
    MQTTClient_createOptions creation = MQTTClient_createOptions_initializer;
    creation.MQTTVersion = target->version;
    check("create", MQTTClient_createWithOptions(&client->paho, url, options->client_id, MQTTCLIENT_PERSISTENCE_NONE,
                                                 NULL, &creation));

    MQTTClient_connectOptions connect = initial(target);
    connect.MQTTVersion = target->version;
    connect.connectTimeout = PATIENCE;
    if (target->version == 5) connect.cleanstart = !options->kept;
    else connect.cleansession = !options->kept;
    MQTTClient_willOptions will = MQTTClient_willOptions_initializer;
    if (options->will_topic) {
        will.topicName = options->will_topic;
        will.message = options->will_payload;
        will.qos = 1;
        connect.will = &will;
    }
    MQTTClient_SSLOptions tls = MQTTClient_SSLOptions_initializer;
    if (is_secure(target)) {
        tls.trustStore = target->ca;
        tls.verify = 1;
        connect.ssl = &tls;
    }
    if (target->version == 5) check("connect", connect_5(client->paho, &connect, options->kept));
    else check("connect", MQTTClient_connect(client->paho, &connect));
    *session = connect.returned.sessionPresent ? SESSION_PRESENT : SESSION_ABSENT;
    // Version 1.3 does not pass it on in MQTT 5; that both messages come says as much.
    if (target->version == 5) *session = SESSION_UNSAID;
    return client;
}

void client_subscribe(struct client *client, const char *filter, int qos) {
    int granted;
    if (client->version == 5) {
        MQTTResponse response = MQTTClient_subscribe5(client->paho, filter, qos, NULL, NULL);
        granted = response.reasonCode;
        MQTTResponse_free(response);
        if (granted != qos) fail("SUBACK: expected %d, got %d", qos, granted);
    } else {
        // Of one filter it says nothing but whether it was refused.
        check("subscribe", MQTTClient_subscribe(client->paho, filter, qos));
    }
}

void client_publish(struct client *client, const char *topic, const char *payload, int qos, bool retain) {
    MQTTClient_deliveryToken token;
    int length = (int)strlen(payload);
    if (client->version == 5) {
        MQTTResponse response =
            MQTTClient_publish5(client->paho, topic, length, payload, qos, retain, NULL, &token);
        check("publish", response.reasonCode);
        MQTTResponse_free(response);
    } else {
        check("publish", MQTTClient_publish(client->paho, topic, length, payload, qos, retain, &token));
    }
    if (qos > 0) check("acknowledgement", MQTTClient_waitForCompletion(client->paho, token, PATIENCE * 1000UL));
}

void client_receive(struct client *client, struct message *message) {
    char *topic = NULL;
    int length;
    MQTTClient_message *received = NULL;
    int code = MQTTClient_receive(client->paho, &topic, &length, &received, PATIENCE * 1000UL);
    if (!received) fail("expected a message, got none: %d", code);
    copy(message->topic, sizeof message->topic, topic, strlen(topic));
    copy(message->payload, sizeof message->payload, received->payload, (unsigned long)received->payloadlen);
    message->qos = received->qos;
    message->retained = received->retained;
    MQTTClient_freeMessage(&received);
    MQTTClient_free(topic);
}

void client_close(struct client *client) {
    if (client->version == 5)
        check("disconnect", MQTTClient_disconnect5(client->paho, PATIENCE * 1000, MQTTREASONCODE_SUCCESS, NULL));
    else check("disconnect", MQTTClient_disconnect(client->paho, PATIENCE * 1000));
    MQTTClient_destroy(&client->paho);
    free(client);
}
