use std::time::Instant;
use life_agent_domain::scan::*; use life_agent_domain::gate::*; use life_agent_domain::command::*; use life_agent_domain::redact::Redact; use life_agent_domain::ids::Principal;
use life_agent_plans::{draft::draft, edit::Edit, request::PlanRequest, store::*, tree::Tree};
struct J; impl Admit for J { fn path(&self,_:&str)->Result<(),Refusal>{Ok(())} fn rename(&self,_:&str,_:&str)->Result<(),Refusal>{Ok(())} fn added_text(&self,_:&str)->Vec<Leak>{vec![]} }
struct Y; impl Gate for Y { fn name(&self)->&'static str{"y"} fn check(&self,_:&Subject<'_>,_:&Facts)->Verdict{Verdict::pass()} }
struct K; impl Redact for K { fn redact<'t>(&self,t:&'t str)->std::borrow::Cow<'t,str>{t.into()} }
fn main(){
 let ws=tempfile::tempdir().unwrap(); let pd=tempfile::tempdir_in(std::env::args().nth(1).unwrap_or("/tmp".into())).unwrap();
 let tree=Tree::open(ws.path()).unwrap();
 let half=1<<19;
 let mut cases:Vec<(&str,String,String)>=vec![];
 let l:Vec<String>=(0..half/4).map(|n|format!("{:x}\n",n)).collect();
 let mut r=l.clone(); r.reverse();
 cases.push(("reversed distinct",l.concat(),r.concat()));
 cases.push(("newlines half gone","\n".repeat(1<<20),"\n".repeat(half)));
 cases.push(("ab vs ba","a\nb\n".repeat(half/2),"b\na\n".repeat(half/2)));
 let mut x=12345u64; let mut rnd=|k:u64|{x=x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);(x>>33)%k};
 let a:String=(0..half).map(|_|format!("{}\n",(b'a'+rnd(2) as u8) as char)).collect(); let b:String=(0..half).map(|_|format!("{}\n",(b'a'+rnd(2) as u8) as char)).collect();
 cases.push(("random ab",a,b));
 let a:String=(0..half/2).map(|_|format!("{:02}\n",rnd(90))).collect(); let b:String=(0..half/2).map(|_|format!("{:02}\n",rnd(90))).collect();
 cases.push(("random 90",a,b));
 let a:String=(0..half/4).map(|_|format!("{:04}\n",rnd(5000))).collect(); let b:String=(0..half/4).map(|_|format!("{:04}\n",rnd(5000))).collect();
 cases.push(("random 5000",a,b));
 for (name,b,a) in &cases { std::fs::write(ws.path().join("f"),b).unwrap();
  let t=Instant::now(); let res=draft(&tree,&PlanRequest{edits:vec![Edit::Replace{path:"f".into(),content:a.clone()}],..Default::default()}.read(),800,&J);
  println!("{name}: {:?} {:?}",t.elapsed(),res.err().map(|f|f.iter().map(|f|f.to_string()).collect::<Vec<_>>())); }
 let big=cases[0].1.clone(); std::fs::write(ws.path().join("f"),&big).unwrap();
 let t=Instant::now(); let e=(0..500).map(|n|Edit::SearchReplace{path:"f".into(),search:format!("zz{n}\n"),replace:"".into()}).collect(); let r=draft(&tree,&PlanRequest{edits:e,..Default::default()}.read(),800,&J); println!("search miss {:?} {}",t.elapsed(),r.err().unwrap().len());
 // throughput
 std::process::Command::new("git").arg("init").arg("-q").arg(ws.path()).status().unwrap();
 std::fs::write(ws.path().join("f"),"one\ntwo\n").unwrap();
 for a in [&["add","-A"][..],&["-c","user.name=x","-c","user.email=x@y","commit","-qm","x"]] { std::process::Command::new("git").current_dir(ws.path()).args(a).status().unwrap(); }
 let store=Store::open(pd.path()).unwrap(); let (tr,st)=(&tree,&store);
 let t=Instant::now(); let n=100;
 std::thread::scope(|s|{for _ in 0..8{s.spawn(move||for _ in 0..n{ let d=draft(tr,&PlanRequest{edits:vec![Edit::Replace{path:"f".into(),content:"one\n2\n".into()}],..Default::default()}.read(),800,&J).unwrap();
  let p=evaluate(&Chain::new(Box::new(Y),vec![],Box::new(K)),Principal::new("a"),Plan{intent:"x".into(),context:"y".into(),targets:vec!["f".into()]},&Facts::default(),&Unwatched).unwrap();
  st.write(&d,&p,&Meta{created:jiff::Timestamp::now(),request_id:"r".into(),policy_hash:"h".into()}).unwrap();});}});
 println!("{} plans in {:?}",8*n,t.elapsed());
}
