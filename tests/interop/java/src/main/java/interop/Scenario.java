package interop;

import interop.Client.Library;
import interop.Client.Message;
import interop.Client.Settings;
import java.net.URI;
import java.util.Objects;

/** What each library must get through. Every step prints its name when it has passed. */
final class Scenario {
    /** Not ASCII, so that a byte changed on the way shows. */
    private static final String PAYLOAD = "21.5 °C, 温度";

    private final Arguments arguments;
    private final Library library;

    private interface Step {
        void run() throws Exception;
    }

    private Scenario(Arguments arguments, Library library) {
        this.arguments = arguments;
        this.library = library;
    }

    /** Ends the process: with 0 where every step has passed, else with 1 and the reason on standard error. */
    static void main(String[] given, Library library) {
        String at = "arguments";
        try {
            Scenario scenario = new Scenario(Arguments.parse(given), library);
            String[] names = {"connect", "qos0", "qos1", "qos2", "retained", "will", "session"};
            Step[] steps = {
                scenario::connect,
                () -> scenario.publish(0),
                () -> scenario.publish(1),
                () -> scenario.publish(2),
                scenario::retained,
                scenario::will,
                scenario::session,
            };
            for (int step = 0; step < steps.length; step++) {
                at = names[step];
                steps[step].run();
                System.out.println(at);
            }
        } catch (Throwable failure) {
            System.err.println(at + ": " + failure);
            failure.printStackTrace();
            System.exit(1);
        }
        // Some libraries keep threads that would hold the process.
        System.exit(0);
    }

    private void connect() throws Exception {
        open("c").disconnect();
    }

    private void publish(int qos) throws Exception {
        Client client = open("q" + qos);
        Message message = new Message(topic("qos" + qos), PAYLOAD, qos, false);
        expect("granted QoS", qos, client.subscribe(message.topic(), qos));
        client.publish(message);
        expect("message", message, client.receive());
        client.disconnect();
    }

    private void retained() throws Exception {
        Message message = new Message(topic("retained"), PAYLOAD, 1, true);
        Client publisher = open("rp");
        publisher.publish(message);

        Client subscriber = open("r1");
        subscriber.subscribe(message.topic(), 1);
        expect("retained message", message, subscriber.receive());
        subscriber.disconnect();

        // Cleared, so that the first that the next subscriber gets is what is published after it.
        publisher.publish(new Message(message.topic(), "", 1, true));
        Message next = new Message(message.topic(), "after it was cleared", 1, false);
        Client late = open("r2");
        late.subscribe(message.topic(), 1);
        publisher.publish(next);
        expect("message", next, late.receive());
        late.disconnect();
        publisher.disconnect();
    }

    private void will() throws Exception {
        Message will = new Message(topic("will"), PAYLOAD, 1, false);
        Client heir = open("h");
        heir.subscribe(will.topic(), 1);
        Relay relay = new Relay(arguments.url());
        Client mortal = open("w", relay.url(), true, will);
        relay.close();
        expect("will", will, heir.receive());
        heir.disconnect();
        mortal.abandon();
    }

    private void session() throws Exception {
        Client client = open("k", arguments.url(), false, null);
        expectSession(false, client);
        client.subscribe(topic("session"), 1);
        client.disconnect();

        Client publisher = open("kp");
        for (int qos = 1; qos <= 2; qos++) {
            publisher.publish(new Message(topic("session"), "meanwhile " + qos, qos, false));
        }
        publisher.disconnect();

        client = open("k", arguments.url(), false, null);
        expectSession(true, client);
        for (int qos = 1; qos <= 2; qos++) {
            expect("message", new Message(topic("session"), "meanwhile " + qos, 1, false), client.receive());
        }
        client.disconnect();
        // Ends the session.
        open("k").disconnect();
    }

    private void expectSession(boolean present, Client client) {
        if (arguments.version() > 3) {
            expect("session present", present, client.sessionPresent());
        }
    }

    private Client open(String suffix) throws Exception {
        return open(suffix, arguments.url(), true, null);
    }

    private Client open(String suffix, URI url, boolean clean, Message will) throws Exception {
        return library.connect(new Settings(arguments, url, arguments.name() + "-" + suffix, clean, will));
    }

    private String topic(String name) {
        return arguments.name() + "/" + name;
    }

    static void expect(String what, Object expected, Object got) {
        if (!Objects.equals(expected, got)) {
            throw new AssertionError(what + ": expected " + expected + ", got " + got);
        }
    }
}
