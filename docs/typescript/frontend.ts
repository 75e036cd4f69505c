// What the dashboard relies on. It compiles as long as api.d.ts keeps these promises.
import type { components, paths } from "./api";

type Lead = components["schemas"]["Lead"];
type Page = paths["/api/v1/leads"]["get"]["responses"]["200"]["content"]["application/json"];
type Messages = paths["/api/v1/leads/{id}/conversations"]["get"]["responses"]["200"]["content"]["application/json"];
type Problem = components["schemas"]["ProblemBody"];
type Query = NonNullable<paths["/api/v1/leads"]["get"]["parameters"]["query"]>;

export const query: Query = { status: "new", source: "website", search: "håkonsen", limit: 25, offset: 0 };

export function titles(page: Page): string[] {
  return page.items.map((lead: Lead) => `${lead.customer_name ?? "?"} (${lead.conversation_count}) ${lead.assigned_user?.name ?? ""}`);
}

export function range({ total, page, pages, limit }: Page): string {
  return `${(page - 1) * limit + 1}–${Math.min(page * limit, total)} of ${total}, page ${page} of ${pages}`;
}

export function newest(messages: Messages): string | undefined {
  return messages[0]?.message_content;
}

export function toast(error: Problem): string {
  return error.detail;
}
