// dotnet add package MQTTnet{% if fetch_ca %}; {{ fetch_ca }}{% endif %}
using System.Security.Cryptography.X509Certificates;
using MQTTnet;

var topic = {{ topic|literal }};
var options = new MqttClientOptionsBuilder()
{%- if websocket %}
    .WithWebSocketServer(server => server.WithUri({{ url|literal }}))
{%- else %}
    .WithTcpServer({{ host|literal }}, {{ port }})
{%- endif %}
{%- if tls %}
    .WithTlsOptions(tls => tls.UseTls(){% if ca %}.WithTrustChain(new X509Certificate2Collection(new X509Certificate2({{ ca|literal }}))){% endif %})
{%- endif %}
{%- if user %}
    .WithCredentials({{ user|literal }}, Environment.GetEnvironmentVariable("MQTT_PASSWORD"))
{%- endif %}
    .WithKeepAlivePeriod(TimeSpan.FromSeconds(45))
    .Build();
var client = new MqttClientFactory().CreateMqttClient();
client.ApplicationMessageReceivedAsync += received => {
    Console.WriteLine($"{received.ApplicationMessage.Topic} {received.ApplicationMessage.ConvertPayloadToString()}");
    return Task.CompletedTask;
};
await client.ConnectAsync(options);
await client.SubscribeAsync(topic, MQTTnet.Protocol.MqttQualityOfServiceLevel.AtLeastOnce);
await client.PublishStringAsync(topic, "hello from MQTTnet", MQTTnet.Protocol.MqttQualityOfServiceLevel.AtLeastOnce);
await Task.Delay(Timeout.Infinite);
