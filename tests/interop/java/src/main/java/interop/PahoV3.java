package interop;

import org.eclipse.paho.client.mqttv3.IMqttDeliveryToken;
import org.eclipse.paho.client.mqttv3.IMqttToken;
import org.eclipse.paho.client.mqttv3.MqttAsyncClient;
import org.eclipse.paho.client.mqttv3.MqttCallback;
import org.eclipse.paho.client.mqttv3.MqttConnectOptions;
import org.eclipse.paho.client.mqttv3.MqttException;
import org.eclipse.paho.client.mqttv3.MqttMessage;
import org.eclipse.paho.client.mqttv3.persist.MemoryPersistence;

/** Eclipse Paho for MQTT 3.1 and 3.1.1. */
public final class PahoV3 implements Client, MqttCallback {
    private static final long PATIENCE_MILLIS = PATIENCE_SECONDS * 1000L;

    private final MqttAsyncClient paho;
    private final Inbox inbox = new Inbox();
    private final boolean sessionPresent;

    /** See {@link Arguments}. */
    public static void main(String[] arguments) {
        Scenario.main(arguments, PahoV3::new);
    }

    private PahoV3(Settings settings) throws Exception {
        MqttConnectOptions options = new MqttConnectOptions();
        // The default would try 3.1 where 3.1.1 fails.
        options.setMqttVersion(settings.arguments().version());
        options.setCleanSession(settings.clean());
        options.setConnectionTimeout(PATIENCE_SECONDS);
        if (settings.isSecure()) {
            options.setSocketFactory(settings.arguments().sslContext().getSocketFactory());
        }
        Message will = settings.will();
        if (will != null) {
            options.setWill(will.topic(), will.bytes(), will.qos(), will.retained());
        }
        paho = new MqttAsyncClient(settings.javaUrl(), settings.clientId(), new MemoryPersistence());
        paho.setCallback(this);
        sessionPresent = await(paho.connect(options)).getSessionPresent();
    }

    @Override
    public boolean sessionPresent() {
        return sessionPresent;
    }

    @Override
    public int subscribe(String topicFilter, int qos) throws Exception {
        return await(paho.subscribe(topicFilter, qos)).getGrantedQos()[0];
    }

    @Override
    public void publish(Message message) throws Exception {
        await(paho.publish(message.topic(), message.bytes(), message.qos(), message.retained()));
    }

    @Override
    public Message receive() throws Exception {
        return inbox.next();
    }

    @Override
    public void disconnect() throws Exception {
        await(paho.disconnect());
        paho.close();
    }

    @Override
    public void abandon() throws Exception {
        paho.close(true);
    }

    private static IMqttToken await(IMqttToken token) throws MqttException {
        token.waitForCompletion(PATIENCE_MILLIS);
        return token;
    }

    @Override
    public void messageArrived(String topic, MqttMessage message) {
        inbox.add(Message.received(topic, message.getPayload(), message.getQos(), message.isRetained()));
    }

    @Override
    public void connectionLost(Throwable cause) {
        // A step that still needs the connection fails by itself.
    }

    @Override
    public void deliveryComplete(IMqttDeliveryToken token) {
        // Each publish waits for its own.
    }
}
