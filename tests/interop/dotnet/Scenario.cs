using System;
using System.Threading.Tasks;

/// <summary>MQTTnet through the steps of the matrix. Every step prints its name when it has passed.</summary>
sealed class Scenario
{
    // Not ASCII, so that a byte changed on the way shows.
    const string Payload = "21.5 °C, 温度";

    readonly Arguments arguments;

    Scenario(Arguments arguments)
    {
        this.arguments = arguments;
    }

    static int Main(string[] given)
    {
        var at = "arguments";
        try
        {
            var scenario = new Scenario(Arguments.Parse(given));
            var names = new[] { "connect", "qos0", "qos1", "qos2", "retained", "will", "session" };
            var steps = new Func<Task>[]
            {
                scenario.Connect,
                () => scenario.Exchange(0),
                () => scenario.Exchange(1),
                () => scenario.Exchange(2),
                scenario.Retained,
                scenario.Will,
                scenario.Session,
            };
            for (var step = 0; step < steps.Length; step++)
            {
                at = names[step];
                steps[step]().GetAwaiter().GetResult();
                Console.WriteLine(at);
            }
            return 0;
        }
        catch (Exception failure)
        {
            Console.Error.WriteLine($"{at}: {failure}");
            return 1;
        }
    }

    async Task Connect()
    {
        await (await Open("c")).Disconnect();
    }

    async Task Exchange(int qos)
    {
        var message = new Message(Topic($"qos{qos}"), Payload, qos, false);
        var client = await Open($"q{qos}");
        Expect("granted QoS", qos, await client.Subscribe(message.Topic, qos));
        await client.Publish(message);
        Expect("message", message, client.Receive());
        await client.Disconnect();
    }

    async Task Retained()
    {
        var message = new Message(Topic("retained"), Payload, 1, true);
        var publisher = await Open("rp");
        await publisher.Publish(message);

        var subscriber = await Open("r1");
        await subscriber.Subscribe(message.Topic, 1);
        Expect("retained message", message, subscriber.Receive());
        await subscriber.Disconnect();

        // Cleared, so that the first that the next subscriber gets is what is published after it.
        await publisher.Publish(new Message(message.Topic, "", 1, true));
        var next = new Message(message.Topic, "after it was cleared", 1, false);
        var late = await Open("r2");
        await late.Subscribe(message.Topic, 1);
        await publisher.Publish(next);
        Expect("message", next, late.Receive());
        await late.Disconnect();
        await publisher.Disconnect();
    }

    async Task Will()
    {
        var will = new Message(Topic("will"), Payload, 1, false);
        var heir = await Open("h");
        await heir.Subscribe(will.Topic, 1);
        var relay = new Relay(arguments.Url);
        await Open("w", relay.Url, true, will);
        relay.Cut();
        Expect("will", will, heir.Receive());
        await heir.Disconnect();
    }

    async Task Session()
    {
        var client = await Open("k", arguments.Url, false, null);
        ExpectSession(false, client);
        await client.Subscribe(Topic("session"), 1);
        await client.Disconnect();

        var publisher = await Open("kp");
        for (var qos = 1; qos <= 2; qos++)
        {
            await publisher.Publish(new Message(Topic("session"), $"meanwhile {qos}", qos, false));
        }
        await publisher.Disconnect();

        client = await Open("k", arguments.Url, false, null);
        ExpectSession(true, client);
        for (var qos = 1; qos <= 2; qos++)
        {
            Expect("message", new Message(Topic("session"), $"meanwhile {qos}", 1, false), client.Receive());
        }
        await client.Disconnect();
        // Ends the session.
        await (await Open("k")).Disconnect();
    }

    void ExpectSession(bool present, Client client)
    {
        if (arguments.Version > 3)
        {
            Expect("session present", present, client.SessionPresent);
        }
    }

    Task<Client> Open(string suffix)
    {
        return Open(suffix, arguments.Url, true, null);
    }

    Task<Client> Open(string suffix, Uri url, bool clean, Message? will)
    {
        return Client.Connect(arguments, url, $"{arguments.Name}-{suffix}", clean, will);
    }

    string Topic(string name)
    {
        return $"{arguments.Name}/{name}";
    }

    static void Expect(string what, object expected, object got)
    {
        if (!expected.Equals(got))
        {
            throw new Exception($"{what}: expected {expected}, got {got}");
        }
    }
}
