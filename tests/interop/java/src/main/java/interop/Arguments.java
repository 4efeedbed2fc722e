package interop;

import java.io.InputStream;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/** What the command line says: URL [--ca FILE] --version 3|4|5 --name NAME. */
record Arguments(URI url, Path ca, int version, String name) {
    static Arguments parse(String[] given) {
        URI url = null;
        Path ca = null;
        int version = 0;
        String name = null;
        for (int at = 0; at < given.length; at++) {
            switch (given[at]) {
                case "--ca" -> ca = Path.of(given[++at]);
                case "--version" -> version = Integer.parseInt(given[++at]);
                case "--name" -> name = given[++at];
                default -> url = URI.create(given[at]);
            }
        }
        if (url == null || version == 0 || name == null) {
            throw new IllegalArgumentException("expected URL [--ca FILE] --version 3|4|5 --name NAME");
        }
        return new Arguments(url, ca, version, name);
    }

    boolean isSecure() {
        return url.getScheme().equals("mqtts") || url.getScheme().equals("wss");
    }

    boolean isWebSocket() {
        return url.getScheme().startsWith("ws");
    }

    /** Trusts the authority of `--ca` and no other. */
    TrustManagerFactory trust() throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null, null);
        try (InputStream file = Files.newInputStream(ca)) {
            int number = 0;
            for (Certificate certificate : CertificateFactory.getInstance("X.509").generateCertificates(file)) {
                store.setCertificateEntry("ca-" + number++, certificate);
            }
        }
        TrustManagerFactory factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        factory.init(store);
        return factory;
    }

    SSLContext sslContext() throws Exception {
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust().getTrustManagers(), null);
        return context;
    }
}
