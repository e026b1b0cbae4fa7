import { Page } from '../parts/basics.jsx';
export function Fleet() { return <Page title="Fleet" />; }
