# apt-get install mosquitto-clients{% if fetch_ca %}; {{ fetch_ca }}{% endif %}. In one terminal:
mosquitto_sub -h {{ host|shell }} -p {{ port }}{% if ca %} --cafile {{ ca|shell }}{% elif tls %} --capath /etc/ssl/certs{% endif %}{% if user %} -u {{ user|shell }} -P "$MQTT_PASSWORD"{% endif %} -q 1 -t {{ topic|shell }} -v
# In another:
mosquitto_pub -h {{ host|shell }} -p {{ port }}{% if ca %} --cafile {{ ca|shell }}{% elif tls %} --capath /etc/ssl/certs{% endif %}{% if user %} -u {{ user|shell }} -P "$MQTT_PASSWORD"{% endif %} -q 1 -t {{ topic|shell }} -m 'hello from mosquitto'
