// Maven: com.hivemq:hivemq-mqtt-client:1.3.12{% if websocket %} and hivemq-mqtt-client-websocket:1.3.12{% endif %}{% if fetch_ca %}; {{ fetch_ca }}{% endif %}
import static java.nio.charset.StandardCharsets.UTF_8;

import com.hivemq.client.mqtt.MqttGlobalPublishFilter;
import com.hivemq.client.mqtt.datatypes.MqttQos;
import com.hivemq.client.mqtt.mqtt5.Mqtt5Client;
import com.hivemq.client.mqtt.mqtt5.Mqtt5BlockingClient;
{%- if ca %}
import java.io.FileInputStream;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import javax.net.ssl.TrustManagerFactory;
{%- endif %}

public class Hello {
    public static void main(String[] arguments) throws Exception {
        String topic = {{ topic|literal }};
        Mqtt5BlockingClient client = Mqtt5Client.builder()
                .serverHost({{ host|literal }})
                .serverPort({{ port }})
{%- if ca %}
                .sslConfig().trustManagerFactory(trusting({{ ca|literal }})).applySslConfig()
{%- elif tls %}
                .sslWithDefaultConfig()
{%- endif %}
{%- if websocket %}
                .webSocketConfig().serverPath({{ path|literal }}).applyWebSocketConfig()
{%- endif %}
{%- if user %}
                .simpleAuth().username({{ user|literal }}).password(System.getenv("MQTT_PASSWORD").getBytes(UTF_8)).applySimpleAuth()
{%- endif %}
                .automaticReconnectWithDefaultConfig()
                .buildBlocking();
        client.connect();
        client.toAsync().publishes(MqttGlobalPublishFilter.ALL, message ->
                System.out.println(message.getTopic() + " " + new String(message.getPayloadAsBytes(), UTF_8)));
        client.subscribeWith().topicFilter(topic).qos(MqttQos.AT_LEAST_ONCE).send();
        client.publishWith().topic(topic).qos(MqttQos.AT_LEAST_ONCE).payload("hello from HiveMQ".getBytes(UTF_8)).send();
        Thread.currentThread().join();
    }
{%- if ca %}

    /** Trusts who is certified by the authority in this file. */
    static TrustManagerFactory trusting(String file) throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null);
        try (FileInputStream certificate = new FileInputStream(file)) {
            store.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(certificate));
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store);
        return trust;
    }
{%- endif %}
}
