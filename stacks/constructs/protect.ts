import { DataResource, type TerraformResource, type TerraformStack } from 'cdktf';

/** Stands in Terraform's own refusal, which says nothing of how to lift it: there a name is all that can speak. */
const REFUSAL = 'protected__set_protect_to_false_in_stacks_main_ts_to_lift_this';

/**
 * Makes Terraform refuse every plan that takes one of these away. The machine is not among them: it may be replaced.
 */
export function protect(stack: TerraformStack, resources: readonly TerraformResource[]): void {
  for (const resource of resources) resource.addOverride('lifecycle.prevent_destroy', true);
  const sign = new DataResource(stack, 'protected', { input: { protected: true } });
  sign.overrideLogicalId(REFUSAL);
  sign.addOverride('lifecycle.prevent_destroy', true);
}
