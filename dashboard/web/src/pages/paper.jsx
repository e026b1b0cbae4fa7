import { Page } from '../parts/basics.jsx';
export function Paper() { return <Page title="Paper" />; }
