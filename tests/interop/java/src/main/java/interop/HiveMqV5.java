package interop;

import com.hivemq.client.mqtt.MqttClientBuilder;
import com.hivemq.client.mqtt.MqttGlobalPublishFilter;
import com.hivemq.client.mqtt.datatypes.MqttQos;
import com.hivemq.client.mqtt.mqtt5.Mqtt5AsyncClient;
import com.hivemq.client.mqtt.mqtt5.message.connect.Mqtt5Connect;
import com.hivemq.client.mqtt.mqtt5.message.publish.Mqtt5Publish;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;

/** HiveMQ's client in MQTT 5. */
final class HiveMqV5 implements Client {
    private final Mqtt5AsyncClient hive;
    private final Inbox inbox = new Inbox();
    private final boolean sessionPresent;

    HiveMqV5(MqttClientBuilder builder, Settings settings) throws Exception {
        hive = builder.useMqttVersion5().buildAsync();
        // Before the connection: what a kept session holds comes right after CONNACK.
        hive.publishes(MqttGlobalPublishFilter.ALL, message -> inbox.add(Message.received(
            message.getTopic().toString(),
            message.getPayloadAsBytes(),
            message.getQos().getCode(),
            message.isRetain())));
        var connect = Mqtt5Connect.builder()
            .cleanStart(settings.clean())
            .sessionExpiryInterval(settings.clean() ? 0 : 300);
        if (settings.will() != null) {
            connect = connect.willPublish(publication(settings.will()).asWill());
        }
        sessionPresent = await(hive.connect(connect.build())).isSessionPresent();
    }

    @Override
    public boolean sessionPresent() {
        return sessionPresent;
    }

    @Override
    public int subscribe(String topicFilter, int qos) throws Exception {
        var subscribed = hive.subscribeWith().topicFilter(topicFilter).qos(MqttQos.fromCode(qos)).send();
        return await(subscribed).getReasonCodes().get(0).getCode();
    }

    @Override
    public void publish(Message message) throws Exception {
        var result = await(hive.publish(publication(message)));
        if (result.getError().isPresent()) {
            throw new AssertionError("publish: " + result.getError().get());
        }
    }

    @Override
    public Message receive() throws Exception {
        return inbox.next();
    }

    @Override
    public void disconnect() throws Exception {
        await(hive.disconnect());
    }

    @Override
    public void abandon() {
        // It does not reconnect unless told to.
    }

    private static Mqtt5Publish publication(Message message) {
        return Mqtt5Publish.builder()
            .topic(message.topic())
            .payload(message.bytes())
            .qos(MqttQos.fromCode(message.qos()))
            .retain(message.retained())
            .build();
    }

    private static <T> T await(Future<T> future) throws Exception {
        return future.get(PATIENCE_SECONDS, TimeUnit.SECONDS);
    }
}
