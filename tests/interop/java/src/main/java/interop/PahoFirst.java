package interop;

import java.util.Arrays;
import org.eclipse.paho.client.mqttv3.IMqttDeliveryToken;
import org.eclipse.paho.client.mqttv3.IMqttToken;
import org.eclipse.paho.client.mqttv3.MqttCallbackExtended;
import org.eclipse.paho.client.mqttv3.MqttClient;
import org.eclipse.paho.client.mqttv3.MqttConnectOptions;
import org.eclipse.paho.client.mqttv3.MqttDeliveryToken;
import org.eclipse.paho.client.mqttv3.MqttMessage;
import org.eclipse.paho.client.mqttv3.MqttTopic;
import org.eclipse.paho.client.mqttv3.persist.MemoryPersistence;

/**
 * The program that users of Paho Java begin with: URL CLIENT-ID. Prints what it does and what its callback sees, a line
 * each; ends well once its standard input does.
 */
public final class PahoFirst implements MqttCallbackExtended {
    private static final String[] FILTERS = {
        "$SYS/broker/clients/connected",
        "$SYS/broker/clients/total",
        "$SYS/broker/bytes/received",
        "$SYS/broker/bytes/sent",
        "$SYS/broker/messages/received",
        "$SYS/broker/messages/sent",
        "$SYS/broker/heap/current size",
        "$SYS/broker/uptime",
        "$SYS/broker/connection/#",
    };
    private static final int[] QOS = {1, 0, 2, 1, 0, 2, 1, 0, 2};

    private static final long PATIENCE_MILLIS = 60_000;

    /** See the class. */
    public static void main(String[] arguments) throws Exception {
        String url = arguments[0];
        String clientId = arguments[1];
        MqttClient client = new MqttClient(url, clientId, new MemoryPersistence());
        client.setTimeToWait(PATIENCE_MILLIS);
        client.setCallback(new PahoFirst());
        client.connect(options(client.getTopic(clientId + "/will")));

        MqttTopic topic = client.getTopic(clientId + "/hello");
        MqttDeliveryToken token = topic.publish("hello".getBytes("UTF-8"), 1, true);
        token.waitForCompletion(PATIENCE_MILLIS);
        say("published " + token.isComplete());

        IMqttToken subscribed = client.subscribeWithResponse(FILTERS, QOS);
        say("granted " + Arrays.toString(subscribed.getGrantedQos()));
        // What it has published comes back as any message does.
        client.subscribe(topic.getName(), 1);
        System.in.read();
        client.disconnect();
        client.close();
        say("disconnected");
        System.exit(0);
    }

    private static MqttConnectOptions options(MqttTopic will) throws Exception {
        MqttConnectOptions options = new MqttConnectOptions();
        options.setCleanSession(false);
        options.setUserName("user");
        options.setPassword("password".toCharArray());
        options.setWill(will, "gone".getBytes("UTF-8"), 2, true);
        options.setKeepAliveInterval(20);
        options.setAutomaticReconnect(true);
        return options;
    }

    @Override
    public void connectComplete(boolean reconnect, String serverUri) {
        say(reconnect ? "reconnected" : "connected");
    }

    @Override
    public void connectionLost(Throwable cause) {
        say("lost");
    }

    @Override
    public void messageArrived(String topic, MqttMessage message) {
        say("arrived " + topic + " = " + message);
    }

    @Override
    public void deliveryComplete(IMqttDeliveryToken token) {
        say("delivered");
    }

    private static synchronized void say(String line) {
        System.out.println(line);
    }
}
