package interop;

import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** A connection that was accepted, as the steps want it: each answer awaited, each message kept until it is asked for. */
interface Client {
    /** For one answer. The broker is on this machine, which may be busy. */
    int PATIENCE_SECONDS = 60;

    /** Makes connected clients by one library. */
    interface Library {
        Client connect(Settings settings) throws Exception;
    }

    /** How to connect; `will` may be null. A session that is not clean outlives its connection. */
    record Settings(Arguments arguments, URI url, String clientId, boolean clean, Message will) {
        boolean isSecure() {
            return arguments.isSecure();
        }

        boolean isWebSocket() {
            return arguments.isWebSocket();
        }

        /** The URL with the scheme that Paho and Fusesource have for it. */
        String javaUrl() {
            return url.toString().replaceFirst("^mqtt://", "tcp://").replaceFirst("^mqtts://", "ssl://");
        }
    }

    /** A message as it is published or was received. */
    record Message(String topic, String payload, int qos, boolean retained) {
        static Message received(String topic, byte[] payload, int qos, boolean retained) {
            return new Message(topic, new String(payload, StandardCharsets.UTF_8), qos, retained);
        }

        byte[] bytes() {
            return payload.getBytes(StandardCharsets.UTF_8);
        }
    }

    /** What has arrived. */
    final class Inbox {
        private final BlockingQueue<Message> messages = new LinkedBlockingQueue<>();

        void add(Message message) {
            messages.add(message);
        }

        Message next() throws InterruptedException {
            Message message = messages.poll(PATIENCE_SECONDS, TimeUnit.SECONDS);
            if (message == null) {
                throw new AssertionError("no message within " + PATIENCE_SECONDS + " s");
            }
            return message;
        }
    }

    /** What CONNACK said. MQTT 3.1 has no such flag. */
    boolean sessionPresent();

    /** The QoS that was granted. */
    int subscribe(String topicFilter, int qos) throws Exception;

    /** Returns once the message is acknowledged; with QoS 0, once it is sent. */
    void publish(Message message) throws Exception;

    Message receive() throws Exception;

    /** Ends with DISCONNECT. */
    void disconnect() throws Exception;

    /** Lets go of threads after the connection was cut. */
    void abandon() throws Exception;
}
