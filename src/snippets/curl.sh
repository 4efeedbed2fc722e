{% if websocket or tls -%}
{% if fetch_ca %}# {{ fetch_ca }}
{% endif -%}
# Where MQTT is to be found, and whether this machine gets there. curl speaks MQTT itself only without TLS (mqtt://).
curl {% if ca %}--cacert {{ ca|shell }} {% endif %}{{ (http_url ~ "/.well-known/mqtt")|shell }}
{% else -%}
# In one terminal; each message is printed as bytes: the topic and its length come first.
curl -sN {{ curl_url|shell }}{% if user %} -u {{ user|shell }}:"$MQTT_PASSWORD"{% endif %} --output -
# In another:
curl {{ curl_url|shell }}{% if user %} -u {{ user|shell }}:"$MQTT_PASSWORD"{% endif %} -d 'hello from curl'
{% endif -%}
