//! What to write into the configuration of a proxy, each line for one proxy.

/// WebSocket does not get through.
pub(super) const UPGRADE: &[&str] = &[
    "nginx, in the location: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\"; proxy_set_header Host $host;",
    "HAProxy, mode http: upgrades pass by themselves; remove http-request del-header for upgrade and connection, and option httpclose",
    "Caddy: reverse_proxy ADDRESS passes upgrades by itself; remove header_up lines for Upgrade and Connection",
    "a proxy of the company that inspects TLS may strip it, too: ask for an exception, or use mqtts:// past it",
];

/// The header of the sub-protocol is lost on its way.
pub(super) const SUBPROTOCOL: &[&str] = &[
    "nginx: remove proxy_hide_header Sec-WebSocket-Protocol, and proxy_set_header Sec-WebSocket-Protocol with another value than $http_sec_websocket_protocol",
    "HAProxy: remove http-request and http-response del-header for sec-websocket-protocol",
    "Caddy: remove header_up and header_down lines for Sec-WebSocket-Protocol",
];

/// The proxy answers, and nobody behind it does.
pub(super) const BAD_GATEWAY: &[&str] = &[
    "see whether the broker runs (gatemq status) and listens where the proxy looks for it (gatemq check)",
    "nginx: proxy_pass http://ADDRESS of a listener with tls = false, or https://ADDRESS of one with TLS; its error.log says which address failed",
    "HAProxy: server gatemq ADDRESS check; Caddy: reverse_proxy ADDRESS (https://ADDRESS for a listener with TLS)",
];

/// The proxy cuts what is silent.
pub(super) const IDLE: &[&str] = &[
    "nginx, in the location: proxy_read_timeout 1h; proxy_send_timeout 1h; (in stream: proxy_timeout 1h;)",
    "HAProxy: timeout tunnel 1h, beside timeout client and timeout server",
    "Caddy has no such limit of its own: look at what stands in front of it (load balancer, firewall)",
    "where the limit cannot be raised: ping_interval in [websocket], and the clients' keep alive, below it",
];
