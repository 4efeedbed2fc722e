// A client as the steps want it: each answer awaited, each message kept until a step asks for it. Every library has an
// implementation of its own. Whatever goes wrong ends the program: see `fail`.
#ifndef CLIENT_H
#define CLIENT_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

// Seconds for one answer; the broker is on this machine, which may be busy.
enum { PATIENCE = 60 };

// Where the broker is, and how to speak to it.
struct target {
    const char *scheme; // mqtt, mqtts, ws or wss
    const char *host;
    int port;
    const char *path; // with its slash; empty for mqtt and mqtts
    const char *ca;   // a PEM file, or NULL
    int version;      // as CONNECT numbers it: 3, 4 or 5
};

struct options {
    const char *client_id;
    bool kept;              // the session outlives the connection
    const char *will_topic; // NULL for no will; it is at QoS 1
    const char *will_payload;
};

struct message {
    char topic[128];
    char payload[128];
    int qos;
    bool retained;
};

// What CONNACK has said of the session.
enum session { SESSION_ABSENT, SESSION_PRESENT, SESSION_UNSAID };

struct client;

// Connects.
struct client *client_open(const struct target *target, const struct options *options, enum session *session);
// Returns once the subscription is granted at this QoS.
void client_subscribe(struct client *client, const char *filter, int qos);
// Returns once the broker has acknowledged it, or once it is written at QoS 0.
void client_publish(struct client *client, const char *topic, const char *payload, int qos, bool retain);
void client_receive(struct client *client, struct message *message);
// Ends with DISCONNECT, and frees it.
void client_close(struct client *client);

// Says why on standard error, and exits with 1.
#ifdef __cplusplus
[[noreturn]]
#else
_Noreturn
#endif
void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
// Copies a text of this length, which must fit.
void copy(char *into, unsigned long size, const void *text, unsigned long length);
bool is_secure(const struct target *target);
bool is_websocket(const struct target *target);

#ifdef __cplusplus
}
#endif
#endif
