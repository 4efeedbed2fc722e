// cargo add rumqttc --features websocket; cargo add tokio --features full{% if fetch_ca %}; {{ fetch_ca }}{% endif %}
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS{% if tls %}, TlsConfiguration{% endif %}{% if websocket or tls %}, Transport{% endif %}};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let topic = {{ topic|literal }};
    let mut options = MqttOptions::new("hello-rust", {% if websocket %}{{ url|literal }}{% else %}{{ host|literal }}{% endif %}, {{ port }});
    options.set_keep_alive(std::time::Duration::from_secs(45));
{%- if user %}
    options.set_credentials({{ user|literal }}, std::env::var("MQTT_PASSWORD")?);
{%- endif %}
{%- if ca %}
    let ca = std::fs::read({{ ca|literal }})?;
    let tls = TlsConfiguration::Simple { ca, alpn: None, client_auth: None };
{%- elif tls %}
    let tls = TlsConfiguration::default();
{%- endif %}
{%- if websocket and tls %}
    options.set_transport(Transport::Wss(tls));
{%- elif websocket %}
    options.set_transport(Transport::Ws);
{%- elif tls %}
    options.set_transport(Transport::Tls(tls));
{%- endif %}
    let (client, mut events) = AsyncClient::new(options, 10);
    client.subscribe(topic, QoS::AtLeastOnce).await?;
    client.publish(topic, QoS::AtLeastOnce, false, "hello from rumqttc").await?;
    loop {
        if let Event::Incoming(Packet::Publish(message)) = events.poll().await? {
            println!("{} {}", message.topic, String::from_utf8_lossy(&message.payload));
        }
    }
}
