// Types of the web SDK of Moments, made from the catalogue of signals.

export interface Item {
  productId: string | number;
  /** 1 where it is not given. */
  quantity?: number;
  /** Of one piece, in units of the currency. */
  price?: number;
  /** Three letters, as EUR. */
  currency?: string;
  name?: string;
  category?: string;
  url?: string;
  imageUrl?: string;
}

/** Fields beyond the declared ones are kept as attributes and reach journeys. */
export type Free = { site?: string; [attribute: string]: unknown };

export interface Options {
  /** Where ingestion is reached; the script's own origin when not given. */
  endpoint?: string;
  /** The site named in signals; the page's host when not given. */
  site?: string;
  /** Keep and send nothing before `setConsent(true)`. */
  consentRequired?: boolean;
  debug?: boolean;
}

/** One of these addresses the customer. */
export type Who = { email: string } | { externalId: string | number } | { phone: string } | { deviceId: string } | { appId: string };

export interface SignalsApi {
  readonly version: string;
  setApiKey(key: string, options?: Options): void;
  /** Say who the customer is; kept for the next pages. Signals of the last 30 minutes without a customer become theirs. */
  identify(who: Who): void;
  /** Forget who the customer is, as at a log-out. */
  reset(): void;
  /** false forgets what is kept and sends nothing any more. */
  setConsent(given: boolean): void;
  debug(on?: boolean): void;
  /** Any kind of signal by its path, as `cart/add`. */
  track(kind: string, data?: Free): void;
  /** Send now what is kept; normally it is sent within a quarter of a second. */
  flush(): void;
  // methods
}

declare global {
  const Signals: SignalsApi;
  interface Window {
    Signals: SignalsApi;
  }
}
