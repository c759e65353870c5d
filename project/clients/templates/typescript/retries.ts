// Requests that are sent again.

/**
 * Call until there is an answer that is none of 429 and 503, waiting for as long as `Retry-After` says.
 *
 * An answer that was lost is asked for again too: a call that creates needs an `Idempotency-Key`.
 */
export async function retry<T extends { response: Response }>(call: () => Promise<T>, attempts = 5): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const result = await call();
    // Where there was no answer there is no response, whatever its type says.
    const response = result.response as Response | undefined;
    if (attempt >= attempts || (response && response.status !== 429 && response.status !== 503)) {
      return result;
    }
    const seconds = Number(response?.headers.get('Retry-After') ?? 1);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  }
}
