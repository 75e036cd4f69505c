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

type NewLead = paths["/api/v1/leads"]["post"]["requestBody"]["content"]["application/json"];

const wait = (seconds: number) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

/** Creates one lead, however often it has to be sent until it is answered. */
export async function createLead(api: string, token: () => Promise<string>, lead: NewLead): Promise<Lead> {
  const key = crypto.randomUUID();
  const body = JSON.stringify(lead);
  for (let attempt = 1; ; attempt++) {
    const headers = { Authorization: `Bearer ${await token()}`, "Content-Type": "application/json", "Idempotency-Key": key };
    const answer = await fetch(`${api}/api/v1/leads`, { method: "POST", headers, body }).catch(() => undefined);
    if (answer?.ok) return (await answer.json()) as Lead;
    const problem = (await answer?.json().catch(() => undefined)) as Problem | undefined;
    // No answer, one of something in between, or one that says when to come again.
    const again = !problem || problem.status >= 500 || problem.status === 429 || problem.type.endsWith(":under-way");
    if (!again || attempt === 5) throw new Error(problem?.detail ?? "The service cannot be reached; try again.");
    await wait(Number(answer?.headers.get("Retry-After") ?? attempt));
  }
}
