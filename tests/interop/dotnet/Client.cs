using System;
using System.Collections.Concurrent;
using System.Linq;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using MQTTnet;
using MQTTnet.Client;
using MQTTnet.Formatter;
using MQTTnet.Protocol;

/// <summary>A message as it is published or was received.</summary>
struct Message
{
    public string Topic;
    public string Payload;
    public int QoS;
    public bool Retained;

    public Message(string topic, string payload, int qos, bool retained)
    {
        Topic = topic;
        Payload = payload;
        QoS = qos;
        Retained = retained;
    }

    public override string ToString()
    {
        return $"{Topic} = {Payload} (QoS {QoS}, retained {Retained})";
    }
}

/// <summary>One MQTTnet client as the steps want it: each answer awaited, each message kept until it is asked for.</summary>
sealed class Client
{
    /// <summary>For one answer. The broker is on this machine, which may be busy.</summary>
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    readonly IMqttClient client = new MqttFactory().CreateMqttClient();
    readonly BlockingCollection<Message> inbox = new BlockingCollection<Message>();

    /// <summary>What CONNACK said. MQTT 3.1 has no such flag.</summary>
    public bool SessionPresent { get; private set; }

    /// <summary>Connects. A session that is not clean outlives its connection.</summary>
    public static async Task<Client> Connect(Arguments arguments, Uri url, string clientId, bool clean, Message? will)
    {
        var connected = new Client();
        connected.client.ApplicationMessageReceivedAsync += connected.Received;
        var options = Options(arguments, url, clientId, clean, will);
        var result = await connected.client.ConnectAsync(options, CancellationToken.None);
        if (result.ResultCode != MqttClientConnectResultCode.Success)
        {
            throw new Exception($"connect: {result.ResultCode}");
        }
        connected.SessionPresent = result.IsSessionPresent;
        return connected;
    }

    static MqttClientOptions Options(Arguments arguments, Uri url, string clientId, bool clean, Message? will)
    {
        var builder = new MqttClientOptionsBuilder()
            .WithClientId(clientId)
            .WithProtocolVersion((MqttProtocolVersion)arguments.Version)
            .WithTimeout(Patience);
        if (arguments.Version == 5)
        {
            builder.WithCleanStart(clean).WithSessionExpiryInterval(clean ? 0u : 300u);
        }
        else
        {
            builder.WithCleanSession(clean);
        }
        if (url.Scheme.StartsWith("ws"))
        {
            builder.WithWebSocketServer(server => server.WithUri(url.ToString()));
        }
        else
        {
            builder.WithTcpServer(url.Host, url.Port);
        }
        if (arguments.IsSecure)
        {
            builder.WithTlsOptions(tls => tls.UseTls());
        }
        if (will is Message message)
        {
            builder
                .WithWillTopic(message.Topic)
                .WithWillPayload(message.Payload)
                .WithWillQualityOfServiceLevel((MqttQualityOfServiceLevel)message.QoS)
                .WithWillRetain(message.Retained);
        }
        var options = builder.Build();
        // In 3.1 it is a bridge by default (level 0x83), to which a broker does not send what it has published itself.
        // The builder has a method for it, which sets true whatever it is given.
        options.TryPrivate = false;
        return options;
    }

    /// <summary>Returns the QoS that was granted.</summary>
    public async Task<int> Subscribe(string filter, int qos)
    {
        var options = new MqttClientSubscribeOptionsBuilder()
            .WithTopicFilter(filter, (MqttQualityOfServiceLevel)qos)
            .Build();
        var result = await client.SubscribeAsync(options, CancellationToken.None);
        return (int)result.Items.Single().ResultCode;
    }

    /// <summary>Returns once the message is acknowledged; with QoS 0, once it is sent.</summary>
    public async Task Publish(Message message)
    {
        var built = new MqttApplicationMessageBuilder()
            .WithTopic(message.Topic)
            .WithPayload(message.Payload)
            .WithQualityOfServiceLevel((MqttQualityOfServiceLevel)message.QoS)
            .WithRetainFlag(message.Retained)
            .Build();
        var result = await client.PublishAsync(built, CancellationToken.None);
        if (!result.IsSuccess)
        {
            throw new Exception($"publish: {result.ReasonCode}");
        }
    }

    public Message Receive()
    {
        if (!inbox.TryTake(out var message, Patience))
        {
            throw new TimeoutException($"no message within {Patience.TotalSeconds} s");
        }
        return message;
    }

    /// <summary>Ends with DISCONNECT.</summary>
    public async Task Disconnect()
    {
        await client.DisconnectAsync();
        client.Dispose();
    }

    Task Received(MqttApplicationMessageReceivedEventArgs arrived)
    {
        var message = arrived.ApplicationMessage;
        var payload = message.PayloadSegment;
        var text = Encoding.UTF8.GetString(payload.Array ?? new byte[0], payload.Offset, payload.Count);
        inbox.Add(new Message(message.Topic, text, (int)message.QualityOfServiceLevel, message.Retain));
        return Task.CompletedTask;
    }
}
