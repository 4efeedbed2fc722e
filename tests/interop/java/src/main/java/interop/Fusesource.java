package interop;

import java.io.IOException;
import java.util.concurrent.TimeUnit;
import org.fusesource.hawtbuf.Buffer;
import org.fusesource.hawtbuf.UTF8Buffer;
import org.fusesource.mqtt.client.Future;
import org.fusesource.mqtt.client.FutureConnection;
import org.fusesource.mqtt.client.MQTT;
import org.fusesource.mqtt.client.QoS;
import org.fusesource.mqtt.client.Topic;
import org.fusesource.mqtt.client.Tracer;
import org.fusesource.mqtt.codec.CONNACK;
import org.fusesource.mqtt.codec.MQTTFrame;
import org.fusesource.mqtt.codec.PUBLISH;

/** Fusesource mqtt-client: MQTT 3.1 and 3.1.1 over TCP and TLS. */
public final class Fusesource extends Tracer implements Client {
    private final FutureConnection connection;
    private final Inbox inbox = new Inbox();
    private volatile boolean sessionPresent;

    /** See {@link Arguments}. */
    public static void main(String[] arguments) {
        Scenario.main(arguments, Fusesource::new);
    }

    private Fusesource(Settings settings) throws Exception {
        MQTT mqtt = new MQTT();
        mqtt.setHost(settings.javaUrl());
        mqtt.setVersion(settings.arguments().version() == 3 ? "3.1" : "3.1.1");
        mqtt.setClientId(settings.clientId());
        mqtt.setCleanSession(settings.clean());
        // It would try for ever, and hide what went wrong.
        mqtt.setConnectAttemptsMax(0);
        mqtt.setReconnectAttemptsMax(0);
        mqtt.setTracer(this);
        if (settings.isSecure()) {
            mqtt.setSslContext(settings.arguments().sslContext());
        }
        Message will = settings.will();
        if (will != null) {
            mqtt.setWillTopic(will.topic());
            mqtt.setWillMessage(new UTF8Buffer(will.payload()));
            mqtt.setWillQos(QoS.values()[will.qos()]);
            mqtt.setWillRetain(will.retained());
        }
        connection = mqtt.futureConnection();
        await(connection.connect());
    }

    /**
     * Its API shows neither the flags of CONNACK nor QoS and RETAIN of a message, which are what the steps are about. So
     * they are read from the packets that it traces.
     */
    @Override
    public void onReceive(MQTTFrame frame) {
        try {
            if (frame.messageType() == CONNACK.TYPE) {
                sessionPresent = (frame.buffers()[0].get(0) & 1) == 1;
            } else if (frame.messageType() == PUBLISH.TYPE) {
                PUBLISH publish = new PUBLISH().decode(frame);
                Buffer payload = publish.payload();
                inbox.add(Message.received(
                    publish.topicName().toString(), payload.toByteArray(), publish.qos().ordinal(), publish.retain()));
            }
        } catch (IOException malformed) {
            throw new IllegalStateException(malformed);
        }
    }

    @Override
    public boolean sessionPresent() {
        return sessionPresent;
    }

    @Override
    public int subscribe(String topicFilter, int qos) throws Exception {
        return await(connection.subscribe(new Topic[] {new Topic(topicFilter, QoS.values()[qos])}))[0];
    }

    @Override
    public void publish(Message message) throws Exception {
        await(connection.publish(message.topic(), message.bytes(), QoS.values()[message.qos()], message.retained()));
    }

    /** The message as it is traced must also come out at the API, where it is acknowledged. */
    @Override
    public Message receive() throws Exception {
        org.fusesource.mqtt.client.Message delivered = await(connection.receive());
        delivered.ack();
        Message traced = inbox.next();
        Scenario.expect("delivered payload", traced.payload(), new String(delivered.getPayload(), "UTF-8"));
        return traced;
    }

    @Override
    public void disconnect() throws Exception {
        await(connection.disconnect());
    }

    @Override
    public void abandon() throws Exception {
        await(connection.kill());
    }

    private static <T> T await(Future<T> future) throws Exception {
        return future.await(PATIENCE_SECONDS, TimeUnit.SECONDS);
    }
}
