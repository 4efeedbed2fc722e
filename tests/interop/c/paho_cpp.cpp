// Paho's C++ client, mqtt::client.
#include <chrono>
#include <memory>
#include <string>

#include <mqtt/client.h>

#include "client.h"

struct client {
    mqtt::client paho;

    client(const std::string &url, const std::string &id, int version)
        : paho(url, id, mqtt::create_options(version)) {}
};

namespace {

constexpr std::chrono::seconds patience{PATIENCE};

std::string url(const target &target) {
    const std::string scheme = is_websocket(&target) ? target.scheme : is_secure(&target) ? "ssl" : "tcp";
    return scheme + "://" + target.host + ":" + std::to_string(target.port) + target.path;
}

void fill(mqtt::connect_options &connect, const target &target, const options &options) {
    connect.set_mqtt_version(target.version);
    connect.set_connect_timeout(patience);
    if (target.version == 5) {
        connect.set_clean_start(!options.kept);
        if (options.kept) connect.set_properties({{mqtt::property::SESSION_EXPIRY_INTERVAL, 300}});
    } else {
        connect.set_clean_session(!options.kept);
    }
    if (options.will_topic) connect.set_will({options.will_topic, std::string(options.will_payload), 1, false});
    if (is_secure(&target)) {
        mqtt::ssl_options tls;
        tls.set_trust_store(target.ca);
        tls.set_verify(true);
        connect.set_ssl(tls);
    }
}

// What the library throws ends the program.
template <typename Call> auto checked(const char *what, Call call) {
    try {
        return call();
    } catch (const std::exception &error) {
        fail("%s: %s", what, error.what());
    }
}

} // namespace

struct client *client_open(const struct target *target, const struct options *options, enum session *session) {
    return checked("connect", [&] {
        auto opened = std::make_unique<client>(url(*target), options->client_id, target->version);
        opened->paho.set_timeout(patience);
        opened->paho.start_consuming();
        // Version 1.2 hands on a pointer to the properties of the options it was given, and so they stay here, unmoved.
        mqtt::connect_options connect;
        fill(connect, *target, *options);
        auto response = opened->paho.connect(connect);
        *session = response.is_session_present() ? SESSION_PRESENT : SESSION_ABSENT;
        return opened.release();
    });
}

void client_subscribe(struct client *client, const char *filter, int qos) {
    checked("subscribe", [&] {
        auto granted = client->paho.subscribe(filter, qos).get_reason_codes().at(0);
        if (granted != qos) fail("SUBACK: expected %d, got %d", qos, int(granted));
    });
}

void client_publish(struct client *client, const char *topic, const char *payload, int qos, bool retain) {
    checked("publish", [&] { client->paho.publish(mqtt::make_message(topic, payload, qos, retain)); });
}

void client_receive(struct client *client, struct message *message) {
    checked("a message", [&] {
        mqtt::const_message_ptr received;
        if (!client->paho.try_consume_message_for(&received, patience) || !received)
            fail("expected a message, got none");
        copy(message->topic, sizeof message->topic, received->get_topic().data(), received->get_topic().size());
        copy(message->payload, sizeof message->payload, received->get_payload().data(), received->get_payload().size());
        message->qos = received->get_qos();
        message->retained = received->is_retained();
    });
}

void client_close(struct client *client) {
    checked("disconnect", [&] { client->paho.disconnect(); });
    delete client;
}
