/** What one attempt to connect has shown so far; the diagnosis reads it. */

export interface Attempt {
  /** Under which the broker remembers how far the attempt came. */
  probe: string;
  /** The address, without the probe. */
  url: string;
  httpOrigin: string;
  /** WebSocket's handshake went through. */
  opened: boolean;
  connack?: { code: number; reason?: string | undefined };
  /** The server's DISCONNECT. */
  disconnect?: { code: number; reason?: string | undefined };
  /** How WebSocket ended. */
  closed?: { code: number; reason: string };
  /** What the library or the browser threw. */
  error?: string;
  /** Milliseconds from PINGREQ to PINGRESP. */
  roundTrip?: number;
}

/** An id of letters and digits. `crypto.randomUUID` is not there on pages over plain HTTP. */
export function randomId(length: number): string {
  const bytes = crypto.getRandomValues(new Uint8Array(length));
  return Array.from(bytes, (byte) => (byte % 36).toString(36)).join("");
}
