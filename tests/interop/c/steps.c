// The steps of the interop matrix in C, by any library that implements client.h. They are described at Step in
// matrix/clients/mod.rs.
//
//   PROGRAM URL [--ca FILE] --version 3|4|5 --name NAME
#define _GNU_SOURCE
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"

extern char **environ;

static struct target target;
static const char *name;
static char **arguments;
static int count;

void fail(const char *format, ...) {
    va_list values;
    va_start(values, format);
    vfprintf(stderr, format, values);
    fputc('\n', stderr);
    exit(1);
}

void copy(char *into, unsigned long size, const void *text, unsigned long length) {
    if (length >= size) fail("expected less than %lu bytes, got %lu", size, length);
    memcpy(into, text, length);
    into[length] = 0;
}

bool is_websocket(const struct target *target) {
    return target->scheme[0] == 'w';
}

bool is_secure(const struct target *target) {
    return strcmp(target->scheme, "mqtts") == 0 || strcmp(target->scheme, "wss") == 0;
}

// NAME and this, with a character between them: a topic or a client identifier. It lives as long as the program.
static const char *named(char between, const char *what) {
    char *text;
    if (asprintf(&text, "%s%c%s", name, between, what) < 0) fail("no memory");
    return text;
}

static struct client *open_as(const char *what) {
    enum session session;
    struct options options = {.client_id = named('-', what)};
    return client_open(&target, &options, &session);
}

static void expect(struct client *client, const char *payload, int qos, bool retained) {
    struct message message;
    client_receive(client, &message);
    if (strcmp(message.payload, payload) != 0 || message.qos != qos || message.retained != retained)
        fail("expected \"%s\" at QoS %d with RETAIN %d, got \"%s\" at %d with %d", payload, qos, retained,
             message.payload, message.qos, message.retained);
}

static void connect_step(void) {
    client_close(open_as("connect"));
}

static void there_and_back(int qos) {
    char payload[8];
    snprintf(payload, sizeof payload, "at %d", qos);
    const char *topic = named('/', payload + 3);
    struct client *client = open_as("qos");
    client_subscribe(client, topic, qos);
    client_publish(client, topic, payload, qos, false);
    expect(client, payload, qos, false);
    client_close(client);
}

static void qos0_step(void) {
    there_and_back(0);
}

static void qos1_step(void) {
    there_and_back(1);
}

static void qos2_step(void) {
    there_and_back(2);
}

static void retained_step(void) {
    const char *topic = named('/', "retained");
    struct client *publisher = open_as("keeps");
    client_publish(publisher, topic, "kept", 1, true);
    struct client *subscriber = open_as("asks");
    client_subscribe(subscriber, topic, 1);
    expect(subscriber, "kept", 1, true);
    client_publish(publisher, topic, "", 1, true);
    client_close(subscriber);
    client_close(publisher);
}

// This program again, with a will: it says `ready` once it is connected, and stays until it is killed.
static void die_later(void) {
    enum session session;
    struct options options = {
        .client_id = named('-', "dying"), .will_topic = named('/', "will"), .will_payload = "cut off"};
    client_open(&target, &options, &session);
    puts("ready");
    fflush(stdout);
    sleep(10 * PATIENCE);
}

static void will_step(void) {
    struct client *watcher = open_as("watcher");
    client_subscribe(watcher, named('/', "will"), 1);

    char **again = calloc((size_t)count + 2, sizeof *again);
    if (!again) fail("no memory");
    memcpy(again, arguments, (size_t)count * sizeof *again);
    again[count] = "--dying";
    int ends[2];
    posix_spawn_file_actions_t actions;
    pid_t dying;
    if (pipe(ends) || posix_spawn_file_actions_init(&actions) ||
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO) ||
        posix_spawn(&dying, "/proc/self/exe", &actions, NULL, again, environ))
        fail("no child process");
    close(ends[1]);
    char ready;
    if (read(ends[0], &ready, 1) != 1) fail("the client with a will did not connect");
    kill(dying, SIGKILL);
    waitpid(dying, NULL, 0);

    expect(watcher, "cut off", 1, false);
    client_close(watcher);
    free(again);
}

static void session_step(void) {
    enum session session;
    const char *topic = named('/', "session");
    struct options options = {.client_id = named('-', "kept"), .kept = true};
    struct client *before = client_open(&target, &options, &session);
    if (session == SESSION_PRESENT) fail("expected no session before the first connection, got one");
    client_subscribe(before, topic, 2);
    client_close(before);

    struct client *publisher = open_as("meanwhile");
    client_publish(publisher, topic, "at 1", 1, false);
    client_publish(publisher, topic, "at 2", 2, false);
    client_close(publisher);

    struct client *after = client_open(&target, &options, &session);
    if (session == SESSION_ABSENT && target.version > 3) fail("expected session present, got none");
    // A library may hand QoS 2 over at PUBREL, later than the broker has sent it; the first is the first all the same.
    expect(after, "at 1", 1, false);
    expect(after, "at 2", 2, false);
    client_close(after);
}

// Takes the URL apart in place: scheme://host:port/path.
static void read_url(char *url) {
    char *host = strstr(url, "://");
    if (!host) fail("expected a URL like mqtt://localhost:1883, got %s", url);
    *host = 0;
    host += 3;
    char *path = strchr(host, '/');
    target.path = path ? strdup(path) : "";
    if (path) *path = 0;
    char *port = strrchr(host, ':');
    if (!port) fail("expected a port in the URL");
    *port = 0;
    target.scheme = url;
    target.host = host;
    target.port = atoi(port + 1);
}

int main(int argc, char **argv) {
    bool is_dying = false;
    arguments = argv;
    count = argc;
    if (argc < 2) fail("usage: %s URL [--ca FILE] --version 3|4|5 --name NAME", argv[0]);
    for (int at = 2; at < argc; at++) {
        bool has_value = at + 1 < argc;
        if (strcmp(argv[at], "--dying") == 0) is_dying = true;
        else if (strcmp(argv[at], "--ca") == 0 && has_value) target.ca = argv[++at];
        else if (strcmp(argv[at], "--version") == 0 && has_value) target.version = atoi(argv[++at]);
        else if (strcmp(argv[at], "--name") == 0 && has_value) name = argv[++at];
        else fail("what is %s?", argv[at]);
    }
    if (!name || !target.version) fail("--version and --name are missing");
    // argv goes to the child process as it came, and so the URL is taken apart in a copy.
    read_url(strdup(argv[1]));
    if (is_dying) {
        die_later();
        return 1;
    }
    const struct {
        const char *name;
        void (*run)(void);
    } steps[] = {{"connect", connect_step}, {"qos0", qos0_step}, {"qos1", qos1_step},      {"qos2", qos2_step},
                 {"retained", retained_step}, {"will", will_step}, {"session", session_step}};
    for (size_t at = 0; at < sizeof steps / sizeof *steps; at++) {
        steps[at].run();
        puts(steps[at].name);
        fflush(stdout);
    }
    return 0;
}
