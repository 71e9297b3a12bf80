/** chat-list: the person's conversations beside the one that is shown, as they change in any tab. */
import type { Client } from "./client.js";
/** @import { Client } from "./client.js" */
/**
 * @param {HTMLElement} chat
 * @param {Client} client
 * @param {AbortSignal} signal
 */
export declare function followList(chat: HTMLElement, client: Client, signal: AbortSignal): Promise<void>;
