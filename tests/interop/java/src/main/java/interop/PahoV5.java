package interop;

import org.eclipse.paho.mqttv5.client.IMqttToken;
import org.eclipse.paho.mqttv5.client.MqttAsyncClient;
import org.eclipse.paho.mqttv5.client.MqttCallback;
import org.eclipse.paho.mqttv5.client.MqttConnectionOptions;
import org.eclipse.paho.mqttv5.client.MqttDisconnectResponse;
import org.eclipse.paho.mqttv5.client.persist.MemoryPersistence;
import org.eclipse.paho.mqttv5.common.MqttException;
import org.eclipse.paho.mqttv5.common.MqttMessage;
import org.eclipse.paho.mqttv5.common.packet.MqttProperties;

/** Eclipse Paho for MQTT 5. */
public final class PahoV5 implements Client, MqttCallback {
    private static final long PATIENCE_MILLIS = PATIENCE_SECONDS * 1000L;

    private final MqttAsyncClient paho;
    private final Inbox inbox = new Inbox();
    private final boolean sessionPresent;

    /** See {@link Arguments}. */
    public static void main(String[] arguments) {
        Scenario.main(arguments, PahoV5::new);
    }

    private PahoV5(Settings settings) throws Exception {
        MqttConnectionOptions options = new MqttConnectionOptions();
        options.setCleanStart(settings.clean());
        options.setSessionExpiryInterval(settings.clean() ? 0L : 300L);
        options.setConnectionTimeout(PATIENCE_SECONDS);
        if (settings.isSecure()) {
            options.setSocketFactory(settings.arguments().sslContext().getSocketFactory());
        }
        Message will = settings.will();
        if (will != null) {
            options.setWill(will.topic(), new MqttMessage(will.bytes(), will.qos(), will.retained(), null));
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
        return await(paho.subscribe(topicFilter, qos)).getReasonCodes()[0];
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
    public void disconnected(MqttDisconnectResponse response) {
        // A step that still needs the connection fails by itself.
    }

    @Override
    public void mqttErrorOccurred(MqttException exception) {
        System.err.println("Paho reports " + exception);
    }

    @Override
    public void deliveryComplete(IMqttToken token) {
        // Each publish waits for its own.
    }

    @Override
    public void connectComplete(boolean reconnect, String serverUri) {
        // The token of `connect` tells it too.
    }

    @Override
    public void authPacketArrived(int reasonCode, MqttProperties properties) {
        System.err.println("AUTH arrived, though nobody asked for it: " + reasonCode);
    }
}
