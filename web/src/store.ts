/** Values that components follow. */

import { useEffect, useState } from "preact/hooks";

/** Tells its followers that something in it has changed, once for each painted frame at most. */
export class Store {
  #followers = new Set<() => void>();
  #isDue = false;

  /** Calls back after changes; the result ends that. */
  follow(follower: () => void): () => void {
    this.#followers.add(follower);
    return () => this.#followers.delete(follower);
  }

  /** However often this is called, followers hear of it once before the next frame. */
  protected changed(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => {
      this.#isDue = false;
      for (const follower of this.#followers) follower();
    });
  }
}

/** Renders the component again whenever the store has changed. */
export function useStore(store: Store | undefined): void {
  const [, count] = useState(0);
  useEffect(() => store?.follow(() => count((n) => n + 1)), [store]);
}
