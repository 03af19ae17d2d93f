use std::fs::File; use std::io::{self,Read}; use std::time::Instant; use std::collections::BTreeMap;
use scanbridge_qualys_xml::*; use scanbridge_plugin_api::batch::*; use scanbridge_plugin_api::model::*;
#[derive(Default)] struct M(Vec<u8>);
impl Spool for M { fn append(&mut self,b:&[u8])->io::Result<()> {self.0.extend_from_slice(b);Ok(())}
 fn read_at(&mut self,o:u64,i:&mut [u8])->io::Result<()> {i.copy_from_slice(&self.0[o as usize..o as usize+i.len()]);Ok(())}
 fn clear(&mut self)->io::Result<()> {self.0.clear();Ok(())}}
fn main(){ let args:Vec<String>=std::env::args().collect(); let path=&args[1];
 if args.get(2).is_some_and(|a|a=="bare"){ let t=Instant::now();
  let mut r=quick_xml::Reader::from_reader(io::BufReader::with_capacity(256<<10,File::open(path).unwrap())); let mut b=Vec::new(); let mut n=0u64;
  loop{ b.clear(); match r.read_event_into(&mut b).unwrap(){quick_xml::events::Event::Eof=>break,_=>n+=1}}
  println!("bare {n} events {:?}",t.elapsed()); return;}
 let mut head=vec![0;Kind::WINDOW]; let n=File::open(path).unwrap().read(&mut head).unwrap(); let kind=Kind::of(&head[..n]);
 let t=Instant::now();
 let mut defs=Definitions::new(Box::<M>::default());
 let mut pre=read_preface(&kind,File::open(path).unwrap(),Limits::default(),&mut defs).0;
 let tp=t.elapsed();
 println!("{kind:?} {:?} {:?} {:?} {:?} defs {} pre {:?}",pre.id,pre.title,pre.time,pre.error,defs.len(),tp);
 let columns=Columns::of(Schema::default());
 let mut reader=ReportReader::new(&kind,File::open(path).unwrap(),Limits::default(),&mut pre);
 let mut b=BatchBuilder::default(); let quick=args.get(2).is_some_and(|a|a=="quick");
 let mut counts:BTreeMap<String,u64>=BTreeMap::new(); let mut batches=0; let mut cves=0;
 loop{ let r=reader.fill(&mut b, if kind==Kind::Detections{None}else{Some(&mut defs)}); batches+=1;
  let raw=std::mem::take(&mut b).finish();
  if !quick { let v=Batch::of(&raw,&columns).unwrap();
   for f in v.findings(){ *counts.entry(f.get(FindingField::Kind).to_owned()).or_default()+=1; *counts.entry(format!("sev{}",f.get(FindingField::Severity))).or_default()+=1;cves+=list_items(f.definition().get(DefinitionField::Cves)).count();
    if f.definition().get(DefinitionField::Title).is_empty(){*counts.entry("notitle".into()).or_default()+=1}
    *counts.entry("facts".into()).or_default()+=f.facts().count() as u64;
    if args.get(2).is_some_and(|a|a=="dump"){ let d=f.definition(); println!("{:?}", ((f.asset().address(), f.asset().get(AssetField::Dns), f.asset().get(AssetField::Os)), d.get(DefinitionField::Qid), d.get(DefinitionField::Title), d.get(DefinitionField::Cves), f.get(FindingField::Port), f.get(FindingField::Protocol), f.get(FindingField::Ssl), d.get(DefinitionField::CvssBase), f.get(FindingField::Facts), d.get(DefinitionField::Exploits).len(), d.get(DefinitionField::VendorReferences))); }
   } for a in v.assets(){ if a.is_continued(){*counts.entry("continued".into()).or_default()+=1}}}
  b=BatchBuilder::recycle(raw);
  match r.unwrap(){Progress::Full=>{},Progress::Ended=>break}}
 println!("assets {} batches {batches} cves {cves} {counts:?} clean {:?} {:?} total {:?}",reader.assets(),pre.clean_assets,reader.notes(),t.elapsed());
}
