//! Events for the benches: some 480 bytes of JSON each, sixteen members of which ten are used, about sixty Chinese
//! characters of text; one in three speaks of something a rule knows. All are made from their number, so every run measures the same.

use std::path::Path;

use muster::playbook::Playbook;

const PLAIN: [&str; 12] = [
    "报警人称在小区东门附近",
    "目前不清楚具体原因",
    "现场有几名群众围观",
    "请派人到现场看一下",
    "位置在路口往南约两百米",
    "来电人愿意在现场等候",
    "电话里声音比较嘈杂",
    "此前没有类似情况",
    "旁边是一家便利店",
    "物业已经联系过了",
    "时间大约十分钟之前",
    "道路可以正常通行",
];

const TOLD: [&str; 12] = [
    "有人打架",
    "厨房冒烟",
    "邻居吵架 声音很大",
    "两车追尾 无人员伤亡",
    "老人晕倒",
    "路灯不亮",
    "小孩走失",
    "燃气泄漏 有气味",
    "井盖缺失",
    "有人落水",
    "店主投诉噪音扰民",
    "手机被骗转账",
];

/// The event with this number.
pub fn event(n: usize) -> String {
    let pick = |list: &[&'static str], by: usize| list[n / by % list.len()];
    let told = if n.is_multiple_of(3) { TOLD[n / 3 % TOLD.len()] } else { PLAIN[n / 3 % PLAIN.len()] };
    let text = format!("{} {told} {} {} {}", pick(&PLAIN, 1), pick(&PLAIN, 5), pick(&PLAIN, 7), pick(&PLAIN, 11));
    let (lon, lat) = (450 + n * 37 % 300, 800 + n * 53 % 200);
    let code =
        if n.is_multiple_of(2) { format!("JQ-{:02}{:02}", n % 23 + 1, n % 7 + 1) } else { format!("X-{}", n % 900) };
    format!(
        concat!(
            r#"{{"specversion":"1.0","type":"muster.report","source":"110/desk-{desk}","id":"a{n}","#,
            r#""time":"2026-11-23T08:{minute:02}:{second:02}+08:00","datacontenttype":"application/json","#,
            r#""data":{{"code":"{code}","text":"{text}","urgency":"immediate","severity":"moderate","certainty":"observed","#,
            r#""place":{{"position":{{"lon":112.{lon},"lat":26.{lat},"accuracy_m":30}}}},"#,
            r#""callback":"cb-{n}","channel":"voice"}}}}"#
        ),
        desk = n % 40,
        n = n,
        minute = n / 60 % 60,
        second = n % 60,
        code = code,
        text = text,
        lon = lon,
        lat = lat,
    )
}

/// The shipped playbook of Hengyang.
pub fn hengyang() -> Playbook {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/playbooks/hengyang");
    let file = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.expect("the folder can be listed").path();
        let text = std::fs::read_to_string(&path).expect("the file can be read");
        (path.file_name().expect("it has a name").to_string_lossy().into_owned(), text)
    };
    let files: Vec<(String, String)> = std::fs::read_dir(folder).expect("the playbook ships").map(file).collect();
    Playbook::load(&files).unwrap_or_else(|problems| panic!("{} problems", problems.len()))
}
