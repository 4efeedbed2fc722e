// apt-get install libpaho-mqttpp-dev; {% if fetch_ca %}{{ fetch_ca }}; {% endif %}c++ hello.cpp -o hello -lpaho-mqttpp3 -lpaho-mqtt3as
#include <cstdlib>
#include <iostream>

#include <mqtt/async_client.h>

int main() try {
    const std::string topic = {{ topic|literal }};
    mqtt::async_client client({{ paho_url|literal }}, "");
    auto options = mqtt::connect_options_builder().keep_alive_interval(std::chrono::seconds(45)).automatic_reconnect()
{%- if user %}
        .user_name({{ user|literal }}).password(std::getenv("MQTT_PASSWORD"))
{%- endif %}.finalize();
{%- if tls %}
    options.set_ssl(mqtt::ssl_options_builder(){% if ca %}.trust_store({{ ca|literal }}){% endif %}.verify(true).finalize());
{%- endif %}
    client.start_consuming();
    client.connect(options)->wait();
    client.subscribe(topic, 1)->wait();
    client.publish(topic, "hello from Paho C++", 1, false)->wait();
    for (;;) {
        auto message = client.consume_message();
        if (message) std::cout << message->get_topic() << " " << message->to_string() << std::endl;
    }
} catch (const std::exception &error) {
    std::cerr << error.what() << std::endl;
    return 1;
}
