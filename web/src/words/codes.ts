/** MQTT's reason codes in words, as the standard names them. */

import { dictionary } from "../language";

const en = {
  "0x00": "Success",
  "0x01": "Unacceptable protocol version",
  "0x02": "Identifier rejected",
  "0x03": "Server unavailable",
  "0x04": "Bad user name or password",
  "0x05": "Not authorized",
  "0x10": "No matching subscribers",
  "0x80": "Unspecified error",
  "0x81": "Malformed packet",
  "0x82": "Protocol error",
  "0x83": "Implementation specific error",
  "0x84": "Unsupported protocol version",
  "0x85": "Client identifier not valid",
  "0x86": "Bad user name or password",
  "0x87": "Not authorized",
  "0x88": "Server unavailable",
  "0x89": "Server busy",
  "0x8A": "Banned",
  "0x8B": "Server shutting down",
  "0x8C": "Bad authentication method",
  "0x8D": "Keep alive timeout",
  "0x8E": "Session taken over",
  "0x8F": "Topic filter invalid",
  "0x90": "Topic name invalid",
  "0x91": "Packet identifier in use",
  "0x92": "Packet identifier not found",
  "0x93": "Receive maximum exceeded",
  "0x94": "Topic alias invalid",
  "0x95": "Packet too large",
  "0x96": "Message rate too high",
  "0x97": "Quota exceeded",
  "0x98": "Administrative action",
  "0x99": "Payload format invalid",
  "0x9A": "Retain not supported",
  "0x9B": "QoS not supported",
  "0x9C": "Use another server",
  "0x9D": "Server moved",
  "0x9E": "Shared subscriptions not supported",
  "0x9F": "Connection rate exceeded",
  "0xA0": "Maximum connect time",
  "0xA1": "Subscription identifiers not supported",
  "0xA2": "Wildcard subscriptions not supported",
} as const;

const zh = {
  "0x00": "成功",
  "0x01": "不接受的协议版本",
  "0x02": "标识符被拒绝",
  "0x03": "服务器不可用",
  "0x04": "用户名或密码错误",
  "0x05": "未授权",
  "0x10": "没有匹配的订阅者",
  "0x80": "未指明的错误",
  "0x81": "报文格式错误",
  "0x82": "协议错误",
  "0x83": "服务器实现特有的错误",
  "0x84": "不支持的协议版本",
  "0x85": "客户端标识符无效",
  "0x86": "用户名或密码错误",
  "0x87": "未授权",
  "0x88": "服务器不可用",
  "0x89": "服务器繁忙",
  "0x8A": "已被禁止",
  "0x8B": "服务器正在关闭",
  "0x8C": "认证方法错误",
  "0x8D": "保活超时",
  "0x8E": "会话被接管",
  "0x8F": "主题过滤器无效",
  "0x90": "主题名无效",
  "0x91": "报文标识符已被使用",
  "0x92": "找不到报文标识符",
  "0x93": "超出接收最大值",
  "0x94": "主题别名无效",
  "0x95": "报文过大",
  "0x96": "消息速率过高",
  "0x97": "超出配额",
  "0x98": "管理操作",
  "0x99": "载荷格式无效",
  "0x9A": "不支持保留消息",
  "0x9B": "不支持该 QoS",
  "0x9C": "请使用其他服务器",
  "0x9D": "服务器已迁移",
  "0x9E": "不支持共享订阅",
  "0x9F": "连接速率过高",
  "0xA0": "超出最长连接时间",
  "0xA1": "不支持订阅标识符",
  "0xA2": "不支持通配符订阅",
} satisfies Record<keyof typeof en, string>;

const names = dictionary(en, zh);

/** `Not authorized (0x87): what the server adds`. */
export function reasonText(code: number, reason?: string): string {
  const hex = `0x${code.toString(16).toUpperCase().padStart(2, "0")}`;
  const name = isKnown(hex) ? `${names(hex)} (${hex})` : hex;
  return reason ? `${name}: ${reason}` : name;
}

const isKnown = (hex: string): hex is keyof typeof en => hex in en;
