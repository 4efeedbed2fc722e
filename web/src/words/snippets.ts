/** The texts of the code for other clients. */

import { dictionary } from "../language";

const en = {
  "client": "Client",
  "topic": "Topic",
  "for": "For {url}",
  "failed": "There is no code to show: {error}",
  "none": "this broker offers none. The page without scripts has examples.",
} as const;

const zh = {
  "client": "客户端",
  "topic": "主题",
  "for": "用于 {url}",
  "failed": "没有可显示的代码：{error}",
  "none": "此服务器不提供示例代码。无脚本页面中有一些示例。",
} satisfies Record<keyof typeof en, string>;

export const snippetWords = dictionary(en, zh);
