// A value that components can follow.
import { useEffect, useState } from "./html.js";

/** @template T */
export class Store {
  /** @param {T} value */
  constructor(value) {
    this.value = value;
    /** @type {Set<(value: T) => void>} */
    this.followers = new Set();
  }

  /** Replace the value and tell everybody who follows. @param {T} value */
  set(value) {
    if (Object.is(value, this.value)) return;
    this.value = value;
    for (const follower of [...this.followers]) follower(value);
  }

  /** Call `follower` at each change; returns how to stop. @param {(value: T) => void} follower */
  follow(follower) {
    this.followers.add(follower);
    return () => {
      this.followers.delete(follower);
    };
  }
}

/** The store's value; the component is drawn again when it changes. @template T @param {Store<T>} store @returns {T} */
export function useStore(store) {
  const [value, setValue] = useState(store.value);
  useEffect(() => {
    setValue(() => store.value);
    return store.follow((changed) => setValue(() => changed));
  }, [store]);
  return value;
}
