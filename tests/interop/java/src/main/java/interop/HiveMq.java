package interop;

import com.hivemq.client.mqtt.MqttClient;
import com.hivemq.client.mqtt.MqttClientBuilder;
import com.hivemq.client.mqtt.MqttClientSslConfig;
import com.hivemq.client.mqtt.MqttWebSocketConfig;
import interop.Client.Settings;

/** HiveMQ's client, for MQTT 3.1.1 and 5. */
public final class HiveMq {
    private HiveMq() {}

    /** See {@link Arguments}. */
    public static void main(String[] arguments) {
        Scenario.main(arguments, settings -> settings.arguments().version() == 5
            ? new HiveMqV5(builder(settings), settings)
            : new HiveMqV3(builder(settings), settings));
    }

    private static MqttClientBuilder builder(Settings settings) throws Exception {
        MqttClientBuilder builder = MqttClient.builder()
            .identifier(settings.clientId())
            .serverHost(settings.url().getHost())
            .serverPort(settings.url().getPort());
        if (settings.isSecure()) {
            builder = builder.sslConfig(
                MqttClientSslConfig.builder().trustManagerFactory(settings.arguments().trust()).build());
        }
        if (settings.isWebSocket()) {
            // It puts the slash in front by itself.
            String path = settings.url().getPath().substring(1);
            builder = builder.webSocketConfig(MqttWebSocketConfig.builder().serverPath(path).build());
        }
        return builder;
    }
}
