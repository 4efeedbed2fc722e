package interop;

import com.hivemq.client.mqtt.MqttClientBuilder;
import com.hivemq.client.mqtt.MqttGlobalPublishFilter;
import com.hivemq.client.mqtt.datatypes.MqttQos;
import com.hivemq.client.mqtt.mqtt3.Mqtt3AsyncClient;
import com.hivemq.client.mqtt.mqtt3.message.connect.Mqtt3Connect;
import com.hivemq.client.mqtt.mqtt3.message.publish.Mqtt3Publish;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;

/** HiveMQ's client in MQTT 3.1.1. */
final class HiveMqV3 implements Client {
    private final Mqtt3AsyncClient hive;
    private final Inbox inbox = new Inbox();
    private final boolean sessionPresent;

    HiveMqV3(MqttClientBuilder builder, Settings settings) throws Exception {
        hive = builder.useMqttVersion3().buildAsync();
        // Before the connection: what a kept session holds comes right after CONNACK.
        hive.publishes(MqttGlobalPublishFilter.ALL, message -> inbox.add(Message.received(
            message.getTopic().toString(),
            message.getPayloadAsBytes(),
            message.getQos().getCode(),
            message.isRetain())));
        var connect = Mqtt3Connect.builder().cleanSession(settings.clean());
        if (settings.will() != null) {
            connect = connect.willPublish(publication(settings.will()));
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
        return await(subscribed).getReturnCodes().get(0).getCode();
    }

    @Override
    public void publish(Message message) throws Exception {
        await(hive.publish(publication(message)));
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

    private static Mqtt3Publish publication(Message message) {
        return Mqtt3Publish.builder()
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
