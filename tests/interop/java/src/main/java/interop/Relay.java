package interop;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;

/** A network cable to pull: what is connected to its port goes on to the broker until it is cut, whatever the library. */
final class Relay implements AutoCloseable {
    private final ServerSocket listener;
    private final URI target;
    private volatile Socket client;
    private volatile Socket broker;

    Relay(URI target) throws IOException {
        this.target = target;
        listener = new ServerSocket(0, 1, InetAddress.getByName("127.0.0.1"));
        start(this::relay);
    }

    /** The target's URL with the port of this relay. */
    URI url() {
        return URI.create(target.toString().replace(":" + target.getPort(), ":" + listener.getLocalPort()));
    }

    /** Ends both streams at once: the broker sees no DISCONNECT, no close frame and no close_notify. */
    @Override
    public void close() throws IOException {
        listener.close();
        broker.close();
        client.close();
    }

    private void relay() {
        try {
            client = listener.accept();
            broker = new Socket(target.getHost(), target.getPort());
            start(() -> copy(client, broker));
            copy(broker, client);
        } catch (IOException cut) {
            // The client then fails to connect, and that is what the step reports.
        }
    }

    private static void copy(Socket from, Socket to) {
        try {
            InputStream in = from.getInputStream();
            OutputStream out = to.getOutputStream();
            in.transferTo(out);
        } catch (IOException cut) {
            // This is what it is for.
        }
    }

    private static void start(Runnable work) {
        Thread thread = new Thread(work);
        thread.setDaemon(true);
        thread.start();
    }
}
