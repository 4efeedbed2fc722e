// Maven: org.eclipse.paho:org.eclipse.paho.client.mqttv3:1.2.5{% if fetch_ca %}; {{ fetch_ca }}{% endif %}
// java -cp org.eclipse.paho.client.mqttv3-1.2.5.jar Hello.java
import static java.nio.charset.StandardCharsets.UTF_8;
{% if ca %}
import java.io.FileInputStream;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLSocketFactory;
import javax.net.ssl.TrustManagerFactory;
{%- endif %}
import org.eclipse.paho.client.mqttv3.MqttClient;
import org.eclipse.paho.client.mqttv3.MqttConnectOptions;
import org.eclipse.paho.client.mqttv3.persist.MemoryPersistence;

public class Hello {
    public static void main(String[] arguments) throws Exception {
        String topic = {{ topic|literal }};
        MqttConnectOptions options = new MqttConnectOptions();
        options.setAutomaticReconnect(true);
        options.setKeepAliveInterval(45);
{%- if user %}
        options.setUserName({{ user|literal }});
        options.setPassword(System.getenv("MQTT_PASSWORD").toCharArray());
{%- endif %}
{%- if ca %}
        options.setSocketFactory(trusting({{ ca|literal }}));
{%- endif %}
        MqttClient client =
                new MqttClient({{ paho_url|literal }}, MqttClient.generateClientId(), new MemoryPersistence());
        client.connect(options);
        client.subscribe(topic, 1, (name, message) -> System.out.println(name + " " + message));
        client.publish(topic, "hello from Paho Java".getBytes(UTF_8), 1, false);
    }
{%- if ca %}

    /** Trusts who is certified by the authority in this file. */
    static SSLSocketFactory trusting(String file) throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null);
        try (FileInputStream certificate = new FileInputStream(file)) {
            store.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(certificate));
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        return context.getSocketFactory();
    }
{%- endif %}
}
